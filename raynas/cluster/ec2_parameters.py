"""What may stand in a node type's `node_config` for AWS: the parameters of EC2's RunInstances, offline.

Ray passes `node_config` on as it is, so a misspelt key is told only when the first machine is asked for, or never: by
then the head runs and costs. The names are those of boto3's ``create_instances`` (API version 2016-11-15), and
``SubnetIds``, which is Ray's own. Inside a parameter only those are looked at that cluster files commonly use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raynas.errors import nearest


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PARAMETERS = _names("""
    AdditionalInfo BlockDeviceMappings CapacityReservationSpecification ClientToken CpuOptions CreditSpecification
    DisableApiStop DisableApiTermination DryRun EbsOptimized ElasticGpuSpecification ElasticInferenceAccelerators
    EnablePrimaryIpv6 EnclaveOptions HibernationOptions IamInstanceProfile ImageId InstanceInitiatedShutdownBehavior
    InstanceMarketOptions InstanceType Ipv6AddressCount Ipv6Addresses KernelId KeyName LaunchTemplate
    LicenseSpecifications MaintenanceOptions MetadataOptions Monitoring NetworkInterfaces NetworkPerformanceOptions
    Operator Placement PrivateDnsNameOptions PrivateIpAddress RamdiskId SecurityGroupIds SecurityGroups SubnetId
    SubnetIds TagSpecifications UserData
    """)
_INSIDE: dict[str, frozenset[str]] = {
    "BlockDeviceMappings": _names("DeviceName Ebs NoDevice VirtualName"),
    "BlockDeviceMappings.Ebs": _names("""
        AvailabilityZone AvailabilityZoneId DeleteOnTermination EbsCardIndex Encrypted Iops KmsKeyId OutpostArn
        SnapshotId Throughput VolumeInitializationRate VolumeSize VolumeType
        """),
    "InstanceMarketOptions": _names("MarketType SpotOptions"),
    "InstanceMarketOptions.SpotOptions": _names(
        "BlockDurationMinutes InstanceInterruptionBehavior MaxPrice SpotInstanceType ValidUntil"
    ),
    "IamInstanceProfile": _names("Arn Name"),
}
_SET_BY_RAY = ("MinCount", "MaxCount")


def parameter_problems(node_config: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield what is wrong with the keys of a `node_config`.

    Args:
        node_config: As it stands in the cluster file.
        where: Its place in the file, for messages.
    """
    for name, value in node_config.items():
        if name in _SET_BY_RAY:
            yield f"'{where}.{name}': Ray sets it itself; leave it out, and set min_workers and max_workers"
        elif name not in PARAMETERS:
            yield f"'{where}.{name}': EC2 has no such parameter of an instance{nearest(str(name), sorted(PARAMETERS))}"
        else:
            yield from _inside(str(name), value, f"{where}.{name}")


def _inside(path: str, value: Any, where: str) -> Iterator[str]:
    if path not in _INSIDE:
        return
    allowed = sorted(_INSIDE[path])
    for number, one in enumerate(value if isinstance(value, list) else [value]):
        place = f"{where}.{number}" if isinstance(value, list) else where
        if not isinstance(one, Mapping):
            yield f"'{place}': must be a mapping with keys of {', '.join(allowed)}; got {one!r}"
            continue
        for name, inner in one.items():
            if name not in _INSIDE[path]:
                yield f"'{place}.{name}': no such key{nearest(str(name), allowed)} (allowed: {', '.join(allowed)})"
            else:
                yield from _inside(f"{path}.{name}", inner, f"{place}.{name}")
