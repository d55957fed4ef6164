"""Starts the reference: Trove's own API (routers, views, validation, policy, quotas, models, task manager) behind
keystonemiddleware, on loopback, with its clouds and guests faked (clouds.py) and its message bus replaced by a green
thread. Everything is told by one JSON argument:
  directory   for its database and files
  port        to listen on
  identity    root of a Keystone v3, with the service user and password that may validate tokens there
  catalogue   [{id, name, manager, default, versions: [{id, name, version, active}]}], the same as the other server has
  limits      option names of contract 7.1 and their values
Prints one line when it listens."""
import ctypes
import json
import os
import signal
import subprocess
import sys
import types

# Ends with whoever started it, also when that one is killed (Linux, PR_SET_PDEATHSIG).
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
told = json.loads(sys.argv[1])
folder = told['directory']
os.makedirs(folder, exist_ok=True)
database = os.path.join(folder, 'trove.sqlite')
if os.path.exists(database):
    os.unlink(database)
paste = os.path.join(folder, 'api-paste.ini')
with open(paste, 'w') as file:
    # Trove's own order (contract 0.1).
    file.write("""[composite:trove]
use = call:trove.common.wsgi:versioned_urlmap
/: versions
/v1.0: troveapi
[app:versions]
paste.app_factory = trove.versions:app_factory
[pipeline:troveapi]
pipeline = request_id http_proxy_to_wsgi faultwrapper authtoken authorization contextwrapper ratelimit extensions troveapp
[filter:request_id]
paste.filter_factory = oslo_middleware:RequestId.factory
[filter:http_proxy_to_wsgi]
paste.filter_factory = oslo_middleware:HTTPProxyToWSGI.factory
[filter:extensions]
paste.filter_factory = trove.common.extensions:factory
[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
[filter:authorization]
paste.filter_factory = trove.common.auth:AuthorizationMiddleware.factory
[filter:contextwrapper]
paste.filter_factory = trove.common.wsgi:ContextMiddleware.factory
[filter:faultwrapper]
paste.filter_factory = trove.common.wsgi:FaultWrapper.factory
[filter:ratelimit]
paste.filter_factory = trove.common.limits:RateLimitingMiddleware.factory
[app:troveapp]
paste.app_factory = trove.common.api:app_factory
""")
conf = os.path.join(folder, 'trove.conf')
limits = '\n'.join(f'{name} = {value}' for name, value in told['limits'].items())
default = next(one for one in told['catalogue'] if one.get('default'))
with open(conf, 'w') as file:
    file.write(f"""[DEFAULT]
bind_host = 127.0.0.1
bind_port = {told['port']}
transport_url = fake:/
api_paste_config = {paste}
remote_nova_client = trove.tests.fakes.nova.fake_create_nova_client
remote_guest_client = trove.tests.fakes.guestagent.fake_create_guest_client
remote_swift_client = trove.tests.fakes.swift.fake_create_swift_client
remote_cinder_client = trove.tests.fakes.nova.fake_create_cinder_client
remote_neutron_client = oracle_clouds.neutron
remote_glance_client = oracle_clouds.glance
agent_call_low_timeout = 5
report_interval = 0
use_stderr = True
debug = False
management_networks = aaaaaaaa-0000-4000-8000-000000000003
default_datastore = {default['name']}
{limits}
[database]
connection = sqlite:///{database}
[keystone_authtoken]
www_authenticate_uri = {told['identity']}/v3
auth_url = {told['identity']}/v3
auth_type = password
username = {told['username']}
password = {told['password']}
project_name = service
user_domain_name = Default
project_domain_name = Default
token_cache_time = -1
[oslo_policy]
enforce_scope = False
""")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import clouds  # noqa: E402
clouds.install()
# The schema is made; the command's last step asks Nova and fails, which harms nothing here.
subprocess.run(['trove-manage', '--config-file', conf, 'db_sync'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
sys.argv = ['trove-api', '--config-file', conf]
import eventlet  # noqa: E402
eventlet.monkey_patch()
from oslo_log import log as logging  # noqa: E402
from trove.cmd.common import initialize  # noqa: E402
initialize()
from trove import rpc  # noqa: E402
from trove.taskmanager import api as task_api  # noqa: E402


# While this file is there no task begins, so that what an instance shows in between can be looked at.
hold = os.path.join(folder, 'hold')


class InProcess:
    """Stands for the message bus: the task manager's method runs in a green thread."""
    def prepare(self, *x, **y):
        return self

    def call(self, context, method, **kw):
        from trove.taskmanager.manager import Manager
        return getattr(Manager(), method)(context, **kw)

    def cast(self, context, method, **kw):
        def go():
            while os.path.exists(hold):
                eventlet.sleep(0.02)
            try:
                self.call(context, method, **kw)
            except Exception:
                logging.getLogger('oracle').exception('task %s', method)
        eventlet.spawn_after(0.1, go)


task_api.API.get_client = lambda self, *x, **y: InProcess()
rpc.get_notifier = lambda *x, **y: types.SimpleNamespace(info=lambda *p, **q: None, error=lambda *p, **q: None)
clouds.hurry()
clouds.repair()
from trove.datastore import models  # noqa: E402
for one in told['catalogue']:
    models.DBDatastore.create(id=one['id'], name=one['name'], default_version_id=one.get('default'))
    for version in one['versions']:
        models.DBDatastoreVersion.create(
            datastore_id=one['id'], manager=one['manager'], image_tags='', packages=None, registry_ext='', repl_strategy='',
            image_id='10000000-0000-4000-8000-000000000001', **version)
from trove.common import cfg  # noqa: E402
from trove.common import wsgi  # noqa: E402
cfg.set_api_config_defaults()
launcher = wsgi.launch('trove', told['port'], paste, host='127.0.0.1', workers=1)
print('reference Trove listens', flush=True)
launcher.wait()
