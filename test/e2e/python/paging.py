"""205 instances of one project, made and read in pages by troveclient.v1 and openstacksdk: each once. Logs in by OS_*.
Prints their ids in ascending order as JSON."""
import json
import os

import openstack
from keystoneauth1 import session
from keystoneauth1.identity import v3
from troveclient.v1 import client

COUNT = 205
auth = v3.Password(os.environ['OS_AUTH_URL'], username=os.environ['OS_USERNAME'], password=os.environ['OS_PASSWORD'],
                   project_name=os.environ['OS_PROJECT_NAME'], user_domain_name='Default', project_domain_name='Default')
trove = client.Client(session=session.Session(auth=auth), region_name='RegionOne')
made = [trove.instances.create(f'n{n:03}', flavor_id='1', volume={'size': 1}).id for n in range(COUNT)]


def pages(list_page, limit=None):
    """Ids page by page, until none follows."""
    seen = []
    page = list_page(limit=limit)
    seen.append([row.id for row in page])
    while page.next:
        page = list_page(limit=limit, marker=page.next)
        seen.append([row.id for row in page])
    return seen


# Pages follow the ids, so that they hold still while instances come and go; inside a page the newest is first.
everything = sorted(made)
for limit in (None, 1, 7, 20, 41):
    found = pages(trove.instances.list, limit)
    # No page is longer than asked for, nor than the service allows.
    size = min(limit or 20, 20)
    assert [sorted(page) for page in found] == [everything[at:at + size] for at in range(0, COUNT, size)], limit
    assert all([made.index(one) for one in page] == sorted((made.index(one) for one in page), reverse=True) for page in found), limit

# What is made between two pages moves nothing else.
page = trove.instances.list(limit=20)
seen = [row.id for row in page]
late = trove.instances.create('late', flavor_id='1', volume={'size': 1}).id
while page.next:
    page = trove.instances.list(limit=20, marker=page.next)
    seen += [row.id for row in page]
assert sorted(one for one in seen if one != late) == everything
assert len(seen) in (COUNT, COUNT + 1)

conn = openstack.connect(**{key[3:].lower(): value for key, value in os.environ.items() if key.startswith('OS_')})
everything = sorted(made + [late])
assert sorted(row.id for row in conn.database.instances()) == everything
# With a limit it asks once more after the last page, from that page's last row, which for Trove is not its last id: rows
# may come twice, at real Trove as here.
assert sorted({row.id for row in conn.database.instances(limit=13)}) == everything
print(json.dumps(everything))
