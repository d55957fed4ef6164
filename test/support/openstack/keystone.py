"""Starts OpenStack's own identity service on loopback: Debian's Keystone under uWSGI, as its package runs it, on SQLite.
Everything is told by one JSON argument:
  directory   for its database, keys, configuration and log; what is there already is gone on with
  port        to listen on
  password    of the administrator `admin`, who has the projects, roles and domain that `keystone-manage bootstrap` makes
  expiration  seconds that a token lives
The file `clock` in the directory holds what libfaketime adds to the time, as "+3600": writing it moves Keystone's clock."""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys

# Ends with whoever started it, also when that one is killed (Linux, PR_SET_PDEATHSIG); it outlives an exec.
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
told = json.loads(sys.argv[1])
folder = told['directory']
url = f"http://127.0.0.1:{told['port']}/v3"
conf = os.path.join(folder, 'keystone.conf')
database = os.path.join(folder, 'keystone.sqlite')
# The schema takes longest and is the same for everyone: kept beside the packages that made it.
schema = '/var/lib/coffer-keystone-schema.sqlite'


def manage(*words):
    subprocess.run(['keystone-manage', '--config-file', conf, *words], check=True)


if not os.path.exists(conf):
    for name in ('fernet', 'credential'):
        os.makedirs(os.path.join(folder, name), mode=0o700)
    with open(conf, 'w') as file:
        # memory_pickle: with plain memory, EC2 credentials fail in Zed (KeyError encrypted_blob).
        file.write(f"""[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{database}?check_same_thread=false
[cache]
enabled = true
backend = dogpile.cache.memory_pickle
[token]
expiration = {told['expiration']}
[identity]
# Cheap on purpose: suites make many users and log in often.
password_hash_rounds = 4
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
""")
    if os.path.exists(schema):
        shutil.copyfile(schema, database)
    else:
        manage('db_sync')
        # Whole at once: another suite may look for it now.
        copy = f'{schema}.{os.getpid()}'
        shutil.copyfile(database, copy)
        os.replace(copy, schema)
    manage('fernet_setup', '--keystone-user', 'root', '--keystone-group', 'root')
    manage('credential_setup', '--keystone-user', 'root', '--keystone-group', 'root')
    manage('bootstrap', '--bootstrap-password', told['password'], '--bootstrap-region-id', 'RegionOne',
           *(word for kind in ('public', 'internal', 'admin') for word in (f'--bootstrap-{kind}-url', url)))
clock = os.path.join(folder, 'clock')
if not os.path.exists(clock):
    with open(clock, 'w') as file:
        file.write('+0')
os.environ.update(
    OS_KEYSTONE_CONFIG_FILES=conf,
    LD_PRELOAD='/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
    FAKETIME_TIMESTAMP_FILE=clock,
    FAKETIME_NO_CACHE='1',
)
# uWSGI closes every connection and says so only when told to.
os.execvp('uwsgi', [
    'uwsgi', '--plugin', 'python3', '--http-socket', f"127.0.0.1:{told['port']}", '--wsgi-file', '/usr/bin/keystone-wsgi-public',
    '--threads', '8', '--enable-threads', '--lazy-apps', '--need-app', '--die-on-term', '--buffer-size', '65535',
    '--add-header', 'Connection: close', '--disable-logging'])
