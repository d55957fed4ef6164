"""Every method of openstacksdk's database proxy, at a started service with a real engine. Fails where the proxy has a
method that was not called, beside those of all proxies. Prints their number as JSON. What the library sends that no
Trove understands is expected to be refused, and sent as it should be by the proxy's own session."""
import inspect
import json
import time

import openstack
from openstack.database.v1 import _proxy
from openstack import exceptions

called = set()
for name, method in list(vars(_proxy.Proxy).items()):
    if inspect.isfunction(method) and not name.startswith('_'):
        def noting(name=name, method=method):
            def call(*x, **y):
                called.add(name)
                return method(*x, **y)
            return call
        setattr(_proxy.Proxy, name, noting())
every = {name for name, method in vars(_proxy.Proxy).items() if inspect.isfunction(method) and not name.startswith('_')}

conn = openstack.connect()
db = conn.database


def until(what, condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f'waited in vain for {what}')


def refused(code, method, *x, **y):
    try:
        method(*x, **y)
    except exceptions.HttpException as error:
        assert error.status_code == code, error
        return
    raise AssertionError(f'{code} was expected of {method}')


def healthy():
    def looks():
        row = db.get('/instances/' + one.id).json()['instance']
        assert row['status'] != 'ERROR', row
        return row['status'] == 'ACTIVE' and row['operating_status'] == 'HEALTHY'
    until('the instance to be healthy', looks)


assert {flavor.name for flavor in db.flavors()} == {'tiny', 'small', 'medium'}
assert db.find_flavor('small').id == db.get_flavor('2').id
# It knows no flavorRef.
refused(400, db.create_instance, name='sdk1', flavor='1', volume={'size': 1}, datastore={'type': 'postgresql', 'version': '17'})
made = db.post('/instances', json={'instance': {'name': 'sdk1', 'flavorRef': '1', 'volume': {'size': 1}, 'databases': [{'name': 'app'}],
                                                'datastore': {'type': 'postgresql', 'version': '17'}}}).json()
one = db.get_instance(made['instance']['id'])
healthy()
one = db.get_instance(one.id)
assert (one.name, one.status, one.datastore['version']) == ('sdk1', 'ACTIVE', '17')
assert db.find_instance('sdk1').id == one.id and [row.id for row in db.instances()] == [one.id]

# It sends one database where a list belongs, and a user to where users are changed.
refused(400, db.create_database, one, name='shop')
db.post(f'/instances/{one.id}/databases', json={'databases': [{'name': 'shop'}]})
until('shop', lambda: {row.name for row in db.databases(one)} == {'app', 'shop'})
db.delete_database('shop', one)
refused(404, db.create_user, one, name='bob', password='pw-of-bob', databases=[{'name': 'app'}])
db.post(f'/instances/{one.id}/users', json={'users': [{'name': 'bob', 'password': 'pw-of-bob', 'databases': [{'name': 'app'}]}]})
until('bob', lambda: [row.name for row in db.users(one)] == ['bob'])
# None of these can be fetched, for which the library's own resources have no word.
for method, name in ((db.find_database, 'shop'), (db.get_database, 'shop'), (db.find_user, 'bob'), (db.get_user, 'bob')):
    try:
        method(name, one)
    except exceptions.MethodNotSupported:
        continue
    raise AssertionError(method)
db.delete_user('bob', one)
until('their end', lambda: not list(db.users(one)) and len(list(db.databases(one))) == 1)
db.update_instance(one, name='sdk2')
assert db.get_instance(one.id).name == 'sdk2'
assert not one.is_root_enabled(db) and one.enable_root_user(db)['name'] == 'root' and one.is_root_enabled(db)
for action in (lambda: one.restart(db), lambda: one.resize_volume(db, {'size': 2}), lambda: one.resize(db, '2')):
    action()
    healthy()
assert db.get_instance(one.id).volume['size'] == 2
# Newer ones wait by themselves.
if hasattr(db, 'wait_for_delete'):
    assert db.wait_for_status(one, 'ACTIVE', interval=1, wait=60).id == one.id
db.delete_instance(one)
if hasattr(db, 'wait_for_delete'):
    db.wait_for_delete(one, interval=1, wait=60)
until('its end', lambda: not list(db.instances()))
assert db.find_instance('sdk2') is None
assert every == called, sorted(every - called)
print(json.dumps({'called': len(called)}))
