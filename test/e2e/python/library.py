"""Every method of every manager of troveclient.v1, at a started service with a real engine: what it answers, and what
the service refuses. Logs in by OS_* as a member, and by ADMIN_PASSWORD as an administrator. Fails where a method of the
library was neither called nor stands with a reason below. Prints the number of methods called as JSON."""
import inspect
import json
import os
import time

from keystoneauth1 import session
from keystoneauth1.identity import generic
from troveclient import base
from troveclient.apiclient import exceptions
from troveclient.v1 import client

called = set()
# Never a request of Trove's API.
elsewhere = {
    'root.list': 'does nothing', 'quota.list': 'does nothing', 'configuration_parameters.list': 'does nothing',
    'backups.schedule_create': 'Mistral', 'backups.schedule_list': 'Mistral', 'backups.schedule_show': 'Mistral',
    'backups.schedule_delete': 'Mistral', 'backups.execution_list': 'Mistral', 'backups.execution_delete': 'Mistral',
}
NOTHING = '11111111-2222-4333-8444-555555555555'


def login(user, password):
    auth = generic.Password(os.environ['OS_AUTH_URL'], username=user, password=password, project_name=user,
                       user_domain_name='Default', project_domain_name='Default')
    trove = client.Client(session=session.Session(auth=auth), auth=auth, region_name=os.environ['OS_REGION_NAME'])
    for name, manager in managers(trove):
        for method in methods(manager):
            setattr(manager, method, noting(f'{name}.{method}', getattr(manager, method)))
    return trove, auth.get_project_id(session.Session(auth=auth))


def managers(trove):
    return [(name, one) for name, one in vars(trove).items() if isinstance(one, base.Manager)]


def methods(manager):
    """Its own, and not those that all managers inherit."""
    return [name for kind in type(manager).__mro__ if kind.__module__.startswith('troveclient.v1') for name, one in vars(kind).items()
            if inspect.isfunction(one) and not name.startswith('_')]


def noting(name, method):
    def call(*x, **y):
        called.add(name)
        return method(*x, **y)
    return call


def until(what, condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f'waited in vain for {what}')


def refused(code, method, *x, **y):
    try:
        method(*x, **y)
    except exceptions.HttpError as error:
        assert error.http_status == code, (code, error)
        return
    raise AssertionError(f'{code} was expected of {method} {x}')


trove, project = login(os.environ['OS_USERNAME'], os.environ['OS_PASSWORD'])
admin, _ = login('admin', os.environ['ADMIN_PASSWORD'])


def well(instance):
    row = trove.instances.get(instance.id)
    assert row.status != 'ERROR', row.to_dict()
    return row.status == 'ACTIVE' and row.operating_status == 'HEALTHY'


def healthy():
    until('the instance to be healthy', lambda: well(one))


# The catalogue.
[store] = trove.datastores.list()
assert trove.datastores.get(store.id).name == 'postgresql' == store.name
versions = {version.name: version for version in trove.datastore_versions.list('postgresql')}
assert sorted(versions) == ['16', '17', '18']
seventeen = versions['17']
assert trove.datastore_versions.get('postgresql', '17').id == trove.datastore_versions.get_by_uuid(seventeen.id).id == seventeen.id
refused(404, admin.datastore_versions.update, 'postgresql', seventeen.id, 'private')
assert [flavor.name for flavor in trove.flavors.list()] == ['tiny', 'small', 'medium']
assert len(trove.flavors.list_datastore_version_associated_flavors('postgresql', seventeen.id)) == 3
assert trove.flavors.get('1').ram == 512
assert isinstance(trove.volume_types.list_datastore_version_associated_volume_types('postgresql', seventeen.id), list)
refused(404, trove.volume_types.list)
refused(404, trove.volume_types.get, '1')
assert trove.limits.list()[0].max_instances == 10
names = {parameter.name for parameter in trove.configuration_parameters.parameters('postgresql', '17')}
assert names == {parameter.name for parameter in trove.configuration_parameters.parameters_by_version(seventeen.id)}
assert trove.configuration_parameters.get_parameter('postgresql', '17', 'work_mem').type == 'integer'
assert trove.configuration_parameters.get_parameter_by_version(seventeen.id, 'work_mem').name == 'work_mem'

# An instance.
hello = trove.modules.create('hello', 'ping', 'message=hi\n', description='d', live_update=True)
one = trove.instances.create('lib1', flavor_id='1', volume={'size': 1}, datastore='postgresql', datastore_version='17',
                             databases=[{'name': 'app'}], modules=[hello],
                             users=[{'name': 'alice', 'password': 'pw-of-alice', 'databases': [{'name': 'app'}]}])
assert one.status == 'BUILD'
healthy()
assert [row.id for row in trove.instances.list(include_clustered=True)] == [one.id]

# Databases, users, grants, root.
trove.databases.create(one, [{'name': 'shop'}])
until('shop', lambda: {row.name for row in trove.databases.list(one)} == {'app', 'shop'})
trove.users.create(one, [{'name': 'bob', 'password': 'pw-of-bob', 'databases': [{'name': 'app'}]}])
until('bob', lambda: {row.name for row in trove.users.list(one)} == {'alice', 'bob'})
assert trove.users.get(one, 'bob').databases == [{'name': 'app'}]
trove.users.grant(one, 'bob', ['shop'])
until('the grant', lambda: {row.name for row in trove.users.list_access(one, 'bob')} == {'app', 'shop'})
trove.users.revoke(one, 'bob', 'app')
until('the end of a grant', lambda: {row.name for row in trove.users.list_access(one, 'bob')} == {'shop'})
trove.users.change_passwords(one, [{'name': 'bob', 'password': 'pw-of-bob-2'}])
trove.users.update_attributes(one, 'bob', {'name': 'robert', 'password': 'pw-of-bob-3'})
until('robert', lambda: {row.name for row in trove.users.list(one)} == {'alice', 'robert'})
trove.users.delete(one, 'robert')
trove.databases.delete(one, 'shop')
until('the end of both', lambda: len(trove.users.list(one)) == len(trove.databases.list(one)) == 1)
assert not trove.root.is_root_enabled(one).rootEnabled
assert trove.root.create(one)[0] == 'root' and trove.root.is_instance_root_enabled(one).rootEnabled
trove.root.delete(one)
assert trove.root.create_instance_root(one, 'pw-of-root') == ('root', 'pw-of-root')
trove.root.disable_instance_root(one)
assert admin.mgmt_instances.root_enabled_history(one).user is not None

# Configuration groups.
group = trove.configurations.create('tuned', '{"work_mem": "8MB"}', 'd', 'postgresql', '17')
assert [row.id for row in trove.configurations.list()] == [group.id]
assert 'shared_buffers' in trove.instances.configuration(one)._info['configuration']
trove.instances.modify(one, group)
healthy()
assert [row.id for row in trove.configurations.instances(group)] == [one.id]
trove.configurations.edit(group, '{"maintenance_work_mem": "48MB"}')
trove.configurations.update(group, '{"work_mem": "9MB"}', 'other', 'e')
assert trove.configurations.get(group).values == {'work_mem': '9MB'}
trove.instances.update(one, remove_configuration=True)
healthy()
trove.configurations.delete(group)

# Modules.
assert [row.id for row in trove.modules.list()] == [hello.id] and trove.modules.get(hello).instance_count >= 1
assert [row.name for row in trove.instances.modules(one)] == ['hello']
assert [row.status for row in trove.instances.module_query(one)] == ['OK']
assert open(trove.instances.module_retrieve(one, os.environ['SCRATCH'])['hello']).read() == 'message=hi\n'
trove.modules.update(hello, description='e')
trove.modules.reapply(hello, force=True)
assert [row.name for row in trove.modules.instances(hello)] == ['lib1']
trove.instances.module_remove(one, hello)
trove.instances.module_apply(one, [hello])
trove.instances.module_remove(one, hello)
trove.modules.delete(hello)

# Logs.
assert [row.name for row in trove.instances.log_list(one)] == ['general']
assert trove.instances.log_show(one, 'general').status == 'Disabled'
assert trove.instances.log_action(one, 'general', enable=True, publish=True).status in ('Published', 'Ready')
trove.databases.create(one, [{'name': 'seen'}])
saved = trove.instances.log_save(one, 'general', os.path.join(os.environ['SCRATCH'], 'general.log'))
assert os.path.exists(saved)
assert callable(trove.instances.log_generator(one, 'general', lines=0))

# Certificates, which the library knows since 8.11; what a good one does is seen by the commands.
if hasattr(trove.instances, 'ssl_show'):
    assert trove.instances.ssl_show(one, include_certificate=True).mode == 'builtin'
    refused(400, trove.instances.ssl_enable, one, 'enforced', f'http://127.0.0.1:1/v1/secrets/{NOTHING}')
    assert trove.instances.ssl_disable(one) == {'restart_required': False}
    refused(400, trove.instances.ssl_rollback, one)  # there was nothing before

# Actions.
trove.instances.update(one, name='lib2')
assert trove.instances.get(one).name == 'lib2'
for action in (lambda: trove.instances.restart(one), lambda: trove.instances.resize_volume(one, 2),
               lambda: trove.instances.resize_instance(one, '2'), lambda: admin.mgmt_instances.reboot(one.id)):
    action()
    healthy()
assert trove.instances.get(one).volume['size'] == 2
admin.instances.reset_status(one)
healthy()
admin.mgmt_instances.reset_task_status(one.id)
admin.mgmt_instances.migrate(one.id)
healthy()
refused(400, admin.mgmt_instances.update, one.id)
assert admin.mgmt_instances.show(one).tenant_id == project
assert one.id in [row.id for row in admin.mgmt_instances.index(project_id=project)]
admin.mgmt_instances.stop(one.id)
until('the stop', lambda: trove.instances.get(one).operating_status == 'SHUTDOWN')
version = admin.mgmt_ds_versions.get(seventeen.id)
admin.mgmt_instances.rebuild(one.id, version.image)
healthy()

trove.instances.upgrade(one, '17')
healthy()

# Backups.
trove.backup_strategies.create(one.id, 'of-lib')
assert [row.swift_container for row in trove.backup_strategies.list(instance_id=one.id)] == ['of-lib']
backup = trove.backups.create('b', one, description='d')
until('the backup', lambda: trove.backups.get(backup).status == 'COMPLETED')
assert [row.id for row in trove.backups.list()] == [row.id for row in trove.instances.backups(one)] == [backup.id]
trove.backups.delete(backup)
trove.backup_strategies.delete(instance_id=one.id)
healthy()

# Quotas, versions of administrators.
assert {row.resource for row in trove.quota.show(project)} >= {'instances', 'volumes', 'backups'}
for limit in (9, 10):
    assert admin.quota.update(project, {'instances': limit}) == {'instances': limit}
    assert next(row.limit for row in trove.quota.show(project) if row.resource == 'instances') == limit
admin.mgmt_ds_versions.create('lts', 'elephant', 'postgresql', '', image_tags=['postgresql', '17'], version='17')
made = next(row for row in admin.mgmt_ds_versions.list() if row.name == 'lts')
admin.mgmt_ds_versions.edit(made.id, name='stable')
assert admin.mgmt_ds_versions.get(made.id).name == 'stable'
admin.mgmt_ds_versions.delete(made.id)
admin.datastores.delete('elephant')

# What no engine here, or no Trove of today, has.
assert trove.clusters.list() == []
refused(501, trove.clusters.create, 'c1', 'postgresql', '17', instances=[{'flavorRef': '1', 'volume': {'size': 1}}])
for method, rest in ((trove.clusters.get, []), (trove.clusters.delete, []), (trove.clusters.add_shard, []), (trove.clusters.grow, [[{'flavorRef': '1'}]]),
                     (trove.clusters.reset_status, []), (trove.clusters.shrink, [[{'id': NOTHING}]]), (trove.clusters.upgrade, ['17']),
                     (trove.root.create_cluster_root, []), (trove.root.is_cluster_root_enabled, [])):
    refused(404, method, NOTHING, *rest)
for method, rest in ((trove.metadata.list, []), (trove.metadata.show, ['k']), (trove.metadata.create, ['k', 'v']), (trove.metadata.edit, ['k', 'v']),
                     (trove.metadata.update, ['k', 'l', 'v']), (trove.metadata.delete, ['k'])):
    refused(404, method, one.id, *rest)
for method, rest in ((trove.security_groups.list, []), (trove.security_groups.get, [NOTHING]), (trove.security_group_rules.create, [NOTHING, '10.0.0.0/8']),
                     (trove.security_group_rules.delete, [NOTHING])):
    refused(404, method, *rest)
elsewhere['security_group_rules.list'] = 'does nothing'

# Replica sets.
refused(400, trove.instances.promote_to_replica_source, one)
refused(400, trove.instances.eject_replica_source, one)
replica = trove.instances.create('r1', replica_of=one)
until('the replica to serve', lambda: well(replica))
assert trove.instances.get(replica.id).replica_of['id'] == one.id
assert [each['id'] for each in trove.instances.get(one.id).replicas] == [replica.id]
trove.instances.promote_to_replica_source(replica)
until('the places to be changed', lambda: well(replica) and well(one) and trove.instances.get(one.id).replica_of['id'] == replica.id)
# Of a source that is well.
refused(400, trove.instances.eject_replica_source, replica)
trove.instances.update(one, detach_replica_source=True)
until('the replica to be on its own', lambda: well(one) and not hasattr(trove.instances.get(one.id), 'replica_of'))
trove.instances.delete(replica)

# The end.
two = admin.instances.create('lib3', flavor_id='1', volume={'size': 1})
admin.instances.force_delete(two)
trove.instances.delete(one)
until('the end of both', lambda: not trove.instances.list() and not admin.instances.list())

every = {f'{name}.{method}' for name, manager in managers(trove) for method in methods(manager)}
assert every - called == set(elsewhere), sorted((every - called) ^ set(elsewhere))
print(json.dumps({'called': len(called)}))
