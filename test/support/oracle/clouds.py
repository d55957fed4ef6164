"""The clouds and the guest behind the reference: the fakes that python3-trove ships, repaired where they have fallen
behind the API they stand for, and own ones for Neutron and Glance. Everything they delay goes SPEED times faster."""
import functools
import inspect
import itertools
import sys
import time
import types
import urllib.parse
import uuid

import eventlet
from novaclient import api_versions
from oslo_service import loopingcall

SPEED = 20


def hurry():
    """Shortens what the fakes and the task manager wait for; time-outs keep their length."""
    from trove.common import utils

    later, nap = eventlet.spawn_after, time.sleep
    eventlet.spawn_after = lambda seconds, *x, **y: later(seconds / SPEED, *x, **y)
    time.sleep = lambda seconds: nap(seconds / SPEED)

    def polling(retriever, condition=lambda value: value, sleep_time=1, time_out=0, initial_delay=0):
        def look():
            found = retriever()
            if condition(found):
                raise loopingcall.LoopingCallDone(retvalue=found)
        return loopingcall.BackOffLoopingCall(f=look).start(
            initial_delay=initial_delay / SPEED, starting_interval=sleep_time / SPEED, max_interval=1, timeout=time_out)

    utils.build_polling_task = polling


def install():
    """The names that the configuration file refers to must be importable before Trove reads it."""
    module = types.ModuleType('oracle_clouds')
    module.neutron = lambda context, region_name=None: Neutron()
    module.glance = lambda context, region_name=None: types.SimpleNamespace(images=Images())
    sys.modules['oracle_clouds'] = module


def repair():
    _guest()
    _context()
    _nova()


def _context():
    from trove.common import clients
    from trove.common import context
    from trove.tests.fakes import swift
    context.TroveContext.tenant = property(lambda self: self.project_id)  # the name the Nova fake still uses
    clients.swift_client = lambda context, region_name=None: swift.FakeSwiftConnection()
    clients.neutron_client = sys.modules['oracle_clouds'].neutron


def _nova():
    from trove.tests.fakes import nova
    nova.FakeClient.api_version = api_versions.APIVersion('2.12')
    nova.FakeServer.status = property(
        lambda self: 'ACTIVE' if self._current_status == 'HEALTHY' else self._current_status)
    for fake in (nova.FakeServers, nova.FakeVolumes):
        fake.list = (lambda real: lambda self, *x, **y: real(self))(fake.list)

    def extend(self, volume_id, new_size):
        # The fake refuses a volume that is in use, which Cinder has long been able to grow.
        self.get(volume_id).size = new_size

    nova.FakeVolumes.extend = extend
    real = nova.FakeServers.create
    known = inspect.signature(real).parameters

    def create(self, name, image_id, flavor_ref, nics=None, **given):
        server = real(self, name, image_id, flavor_ref, nics=nics, **{k: v for k, v in given.items() if k in known})
        for nic in nics or []:
            if nic.get('port-id') in Neutron.ports:
                Neutron.ports[nic['port-id']]['device_id'] = server.id
        return server

    nova.FakeServers.create = create

    def create_group(self, name=None, policies=None):
        group = types.SimpleNamespace(id=str(uuid.uuid4()), name=name, policies=policies, members=[])
        groups[group.id] = group
        return group

    groups = {}
    nova.FakeServerGroups.create = create_group
    nova.FakeServerGroups.list = lambda self: list(groups.values())
    nova.FakeServerGroups.delete = lambda self, i: groups.pop(i, None)


def _guest():
    from trove.tests import util

    def unquote_user_host(text):
        """'name' or 'name@host', percent-encoded."""
        name, at, host = urllib.parse.unquote(text).rpartition('@')
        return (name, host) if at else (host, '%')

    # The fake imports it from where it is no more.
    util.unquote_user_host = unquote_user_host
    from trove.tests.fakes import guestagent

    def tolerant(method):
        known = inspect.signature(method).parameters

        @functools.wraps(method)
        def call(*x, **y):
            return method(*x, **{k: v for k, v in y.items() if k in known})
        return call

    fake = guestagent.FakeGuest
    for name, method in list(vars(fake).items()):
        if inspect.isfunction(method) and not name.startswith('__'):
            setattr(fake, name, tolerant(method))
    for name in ('rebuild', 'upgrade', 'pre_upgrade', 'post_upgrade', 'attach_replica', 'detach_replica',
                 'enable_as_master', 'make_read_only', 'cleanup_source_on_replica_detach',
                 'demote_replication_master', 'wait_for_txn', 'get_txn_count', 'rpc_ping'):
        if not hasattr(fake, name):
            setattr(fake, name, lambda self, *x, **y: None)

    def update_attributes(self, username, hostname, user_attrs):
        # The fake looks for the user under its new host before it is there.
        user = self.users.pop((username, hostname))
        user.update({'_' + key: value for key, value in user_attrs.items() if value})
        at = (user['_name'], user['_host'] or '%')
        self.users[at] = user
        self.grants[at] = self.grants.pop((username, hostname), set())

    fake.update_attributes = tolerant(update_attributes)

    def get_user(self, username, hostname):
        user = self.users.get((username, hostname))
        return user and dict(user, _databases=self.list_access(username, hostname))

    # The fake shows the databases a user was created with, whatever was granted since.
    list_users = fake.list_users
    fake.get_user = get_user
    fake.list_users = lambda self, *x, **y: (lambda users, marker: (
        [get_user(self, one['_name'], one['_host'] or '%') for one in users], marker))(*list_users(self, *x, **y))


    # Later than the fake: what the real guest's manager answers of a log with nothing in it, and of certificates.
    def log_of(self):
        if not hasattr(self, 'general'):
            self.general = {'name': 'general', 'type': 'USER', 'status': 'Disabled', 'published': 0, 'pending': 0,
                            'container': 'None', 'prefix': 'None', 'metafile': f'{self.id}/postgresql-general_metafile'}
        return self.general

    def log_action(self, log_name, enable, disable, publish, discard):
        from trove.common import exception
        log = log_of(self)
        if log_name != log['name']:
            # Whatever a guest raises arrives as this.
            raise exception.GuestError(original_message=f"Log '{log_name}' is not defined.")
        if enable or disable or publish:
            log['status'] = 'Disabled' if disable else 'Enabled'
        return dict(log)

    fake.guest_log_list = lambda self: [dict(log_of(self))]
    fake.guest_log_action = log_action
    fake.ssl_show = lambda self: {'status': 'on'}
    fake.ssl_action = lambda self, mode, container, enable, disable: {'restart_required': False}
    fake.ssl_rollback = lambda self: {'status': 'on', 'restart_required': False, 'mode': 'builtin'}


class Image(dict):
    __getattr__ = dict.__getitem__


class Images:
    def get(self, image_id):
        return Image(id=image_id, status='active', name='image', min_disk=0, min_ram=0, tags=[])

    def list(self, **kw):
        return iter([self.get('10000000-0000-4000-8000-000000000001')])


class Neutron:
    """Networks that always exist, each with one routed subnet; ports have addresses in 127.8/16."""
    ports, fips, groups = {}, {}, {}
    n = itertools.count(1)

    def show_network(self, i, **k):
        return {'network': {'id': i, 'name': 'net-' + i[:8], 'project_id': 'x', 'subnets': ['sub-' + i], 'shared': True}}

    def list_networks(self, **k):
        return {'networks': [self.show_network('aaaaaaaa-0000-4000-8000-000000000001')['network']]}

    def show_subnet(self, i, **k):
        return {'subnet': {'id': i, 'network_id': i.replace('sub-', ''), 'cidr': '127.8.0.0/16',
                           'gateway_ip': '127.8.0.254', 'dns_nameservers': [], 'host_routes': []}}

    def list_subnets(self, network_id='x', **k):
        return {'subnets': [self.show_subnet('sub-' + network_id)['subnet']]}

    def list_extensions(self, **k):
        return {'extensions': []}

    def create_port(self, body):
        port, n = dict(body['port']), next(self.n)
        port.update(id=str(uuid.uuid4()), device_id='', mac_address=f'fa:16:3e:00:{n // 250:02x}:{n % 250:02x}',
                    project_id='x', fixed_ips=[{'subnet_id': 'sub-' + port['network_id'],
                                                'ip_address': f'127.8.{n // 250}.{n % 250 + 1}'}])
        self.ports[port['id']] = port
        return {'port': port}

    def show_port(self, i, **k):
        return {'port': self.ports[i]}

    def delete_port(self, i, **k):
        self.ports.pop(i, None)

    def update_port(self, i, body=None):
        self.ports[i].update(body['port'])

    def list_ports(self, device_owner=None, **wanted):
        if device_owner:
            return {'ports': [{'id': 'router'}]}
        # A server that is not there yet (None) has no ports.
        keys = [key for key in ('device_id', 'name') if key in wanted]
        return {'ports': [p for p in self.ports.values() if all(p.get(key) == wanted[key] for key in keys)]}

    def create_floatingip(self, body):
        fip = dict(body['floatingip'], id=str(uuid.uuid4()), floating_ip_address=f'127.9.0.{next(self.n) % 250 + 1}')
        self.fips[fip['id']] = fip
        return {'floatingip': fip}

    def list_floatingips(self, port_id=None, **k):
        return {'floatingips': [f for f in self.fips.values() if port_id in (None, f.get('port_id'))]}

    def update_floatingip(self, i, body):
        self.fips[i].update(body['floatingip'])

    def delete_floatingip(self, i):
        self.fips.pop(i, None)

    def create_security_group(self, body):
        group = dict(body['security_group'], id=str(uuid.uuid4()))
        self.groups[group['id']] = group
        return {'security_group': group}

    def create_security_group_rule(self, body):
        pass

    def delete_security_group_rule(self, i):
        pass

    def list_security_group_rules(self, **k):
        return {'security_group_rules': []}

    def list_security_groups(self, name=None, **k):
        return {'security_groups': [g for g in self.groups.values() if name in (None, g.get('name'))]}

    def delete_security_group(self, i):
        self.groups.pop(i, None)
