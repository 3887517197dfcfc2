"""`NetworkContract`: what the weight-shared network of a space must do, as tests to subclass."""

from __future__ import annotations

import io
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raynas.errors import ArchitectureError
from raynas.networks import Supernet, supernet
from raynas.networks.batchnorm import batch_norms, scoring_statistics
from raynas.networks.cost import cost, plain_cost
from raynas.networks.derive import derive
from raynas.networks.inherit import inherit
from raynas.networks.supernet import Choice
from raynas.spaces import Architecture, Space


class NetworkContract:
    """Tests of a space's network; subclass it, say which space and size, and pytest runs them.

    ::

        class TestMyNetwork(NetworkContract):
            network = {"channels": 4}

            def make_space(self) -> Space:
                return raynas.space("my_space")
    """

    input_shape: ClassVar[tuple[int, int, int]] = (3, 16, 16)
    """(C, H, W) of the images."""
    classes: ClassVar[int] = 10
    output_shape: ClassVar[tuple[int, ...]] = (10,)
    """What one image becomes: (K,), or (1, H, W) for a map."""
    network: ClassVar[dict[str, Any]] = {}
    """Options of the network; small ones, or the tests take long."""
    draws: ClassVar[int] = 4
    """Random architectures a test."""
    spare: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of parameters that every network has, but not every architecture uses."""

    def make_space(self) -> Space:
        """Return the space; override this."""
        raise NotImplementedError("a NetworkContract needs make_space()")

    def make_network(self, space: Space | None = None, *, seed: int = 0, **options: Any) -> Supernet:
        """Return the supernet of the space, or of this one."""
        return supernet(
            self.make_space() if space is None else space,
            input_shape=self.input_shape,
            classes=self.classes,
            seed=seed,
            **{**self.network, **options},
        )

    def architectures(self, space: Space) -> list[Architecture]:
        """Return random architectures and, where they are valid, those of all first and all last options."""
        rng = np.random.default_rng(0)
        ends = [tuple(d.options[place] for d in space.decisions) for place in (0, -1)]
        return [*(space.make(options) for options in ends if space.is_valid(options)), *_draw(space, rng, self.draws)]

    def images(self, count: int = 4, seed: int = 0) -> Tensor:
        """Return random images (B, C, H, W)."""
        return torch.randn(count, *self.input_shape, generator=torch.Generator().manual_seed(seed))

    def idle_parameters(self, alone: Supernet, architecture: Architecture) -> dict[str, nn.Parameter]:
        """Return the parameters of chosen operations that get no gradient.

        Args:
            alone: The supernet of one architecture, which has the chosen candidates only; gradients are left in it.
            architecture: The architecture.
        """
        alone(self.images(), architecture).square().mean().backward()
        chosen = {p for m in alone.modules() if isinstance(m, Choice) for p in m.candidates.parameters()}
        return {name: p for name, p in alone.named_parameters() if p in chosen and p.grad is None}

    @pytest.mark.parametrize("norm", [{}, {"affine": True, "track": True}], ids=["plain norm", "affine, tracked"])
    def test_path_equals_derived_network(self, norm: dict[str, Any]) -> None:
        """The supernet's path and the derived network with copied weights give the same output."""
        net = self.make_network(**norm)
        _shake(net)
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        for architecture in self.architectures(net.space):
            alone = derive(net, architecture)
            assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
            for training in (True, False):
                ours, theirs = net.train(training), alone.train(training)
                x = self.images()
                torch.testing.assert_close(theirs(x), ours(x, architecture), atol=1e-5, rtol=1e-5)
            net.load_state_dict(before)

    def test_derived_network_is_plain(self) -> None:
        """Its modules come from torch (or from the user), it can be saved and read, and it is trained by itself."""
        space = self.make_space()
        architecture = self.architectures(space)[-1]
        alone = derive(space, architecture, input_shape=self.input_shape, classes=self.classes, **self.network)
        assert not [m for m in alone.modules() if type(m).__module__.startswith("raynas.")]
        assert all(m.affine and m.track_running_stats for m in alone.modules() if isinstance(m, nn.BatchNorm2d))
        file = io.BytesIO()
        torch.save(alone, file)
        file.seek(0)
        again = torch.load(file, weights_only=False)
        x = self.images()
        torch.testing.assert_close(again.eval()(x), alone.eval()(x))
        alone.train()(x).square().mean().backward()
        assert all(p.grad is not None for p in alone.parameters())

    def test_cost_is_that_of_the_derived_network(self) -> None:
        """Multiply-adds are those torch counts in the derived network; parameters too, and those of idle operations."""
        space = self.make_space()
        options = {"input_shape": self.input_shape, "classes": self.classes, **self.network}
        for architecture in self.architectures(space):
            params, flops = plain_cost(derive(space, architecture, **options), self.input_shape)
            found = cost(space, architecture, **options)
            assert round(found.flops_m * 1e6) == flops
            alone = self.make_network(space.only(architecture), affine=True, track=True)
            idle = sum(p.numel() for p in self.idle_parameters(alone, architecture).values())
            assert round(found.params_m * 1e6) == params + idle

    def test_one_and_many_architectures(self) -> None:
        """A list of architectures gives the outputs of each."""
        net = self.make_network().eval()
        chosen, x = self.architectures(net.space), self.images()
        many = net(x, chosen)
        assert many.shape == (len(chosen), 4, *self.output_shape)
        assert torch.isfinite(many).all()
        for architecture, output in zip(chosen, many, strict=True):
            torch.testing.assert_close(net(x, architecture), output)

    def test_outputs_are_those_of_each_alone(self) -> None:
        """Walking over all architectures at once gives every output once, the gradients of each and their sum."""
        for training, track in ((False, True), (True, False), (True, True)):
            net, one_by_one = (self.make_network(affine=True, track=track).train(training) for _ in range(2))
            chosen, x = self.architectures(net.space), self.images()
            chosen = [*chosen, *chosen[:2]]
            found = dict(net.outputs(x, chosen))
            expected = [one_by_one(x, architecture) for architecture in chosen]
            assert sorted(found) == list(range(len(chosen)))
            for place, output in enumerate(expected):
                torch.testing.assert_close(found[place], output, atol=1e-5, rtol=1e-5)
            for outputs in (found.values(), expected):
                sum(output.square().mean() for output in outputs).backward()  # type: ignore[union-attr]
            for (name, mine), other in zip(net.named_parameters(), one_by_one.parameters(), strict=True):
                assert (mine.grad is None) == (other.grad is None), name
                torch.testing.assert_close(mine.grad, other.grad, atol=1e-4, rtol=1e-3, msg=name)
            for kept, others in zip(net.buffers(), one_by_one.buffers(), strict=True):
                assert torch.equal(kept, others)

    def test_an_output_does_not_depend_on_what_else_is_run(self) -> None:
        """Alone, in a list and in another order it is the same to the last bit."""
        net = self.make_network(affine=True).eval()
        _shake(net)
        chosen, x = self.architectures(net.space), self.images()
        with torch.inference_mode():
            together, reversed_ = dict(net.outputs(x, chosen)), dict(net.outputs(x, chosen[::-1]))
            for place, architecture in enumerate(chosen):
                assert torch.equal(together[place], net(x, architecture))
                assert torch.equal(together[place], reversed_[len(chosen) - 1 - place])

    def test_equal_shared_forms_are_equal_outputs(self) -> None:
        """Architectures of equal `Supernet.shared_forms` have the same output to the last bit, each run by itself."""
        net = self.make_network(affine=True).eval()
        _shake(net)
        space, x = net.space, self.images()
        with torch.inference_mode():
            for architecture in self.architectures(space):
                (form,), others = net.shared_forms([architecture]), space.neighbours(architecture)
                forms = net.shared_forms(others)
                alike = [other for other, its in zip(others, forms, strict=True) if its == form]
                expected = net(x, architecture) if alike else x
                for other in alike[: 2 * self.draws]:
                    assert torch.equal(net(x, other), expected), other

    def test_what_gets_no_gradient_does_not_matter(self) -> None:
        """Parameters without gradient can take any value: the output stays the same."""
        net = self.make_network(affine=True)
        _shake(net)
        for architecture in self.architectures(net.space)[-2:]:
            net.zero_grad(set_to_none=True)
            output = net(self.images(), architecture)
            output.square().mean().backward()
            unused = [p for p in net.parameters() if p.grad is None]
            kept = [p.detach().clone() for p in unused]
            with torch.no_grad():
                for parameter in unused:
                    parameter.fill_(float("nan"))
            torch.testing.assert_close(net(self.images(), architecture), output)
            with torch.no_grad():
                for parameter, value in zip(unused, kept, strict=True):
                    parameter.copy_(value)

    def test_sub_supernets_inherit_the_roots_function(self) -> None:
        """A sub-supernet with inherited weights gives the root's outputs."""
        root = self.make_network(seed=1)
        _shake(root)
        decision = next(d for d in root.space.decisions[::-1] if len(d.options) > 1)
        for option in decision.options[:3]:
            part = root.space.subspace({decision.name: [option]})
            child = self.make_network(part, seed=2)
            inherit(child, root.state_dict())
            for architecture in _draw(part, np.random.default_rng(0), 2):
                x = self.images()
                torch.testing.assert_close(child(x, architecture), root(x, architecture), atol=1e-5, rtol=1e-5)

    def test_weights_of_one_architecture(self) -> None:
        """The network of one architecture has no more weights than it uses, idle operations and spare parts aside."""
        space = self.make_space()
        for architecture in self.architectures(space)[-2:]:
            alone = self.make_network(space.only(architecture), affine=True)
            idle = self.idle_parameters(alone, architecture)
            unused = {name for name, p in alone.named_parameters() if p.grad is None}
            assert not {name for name in unused - set(idle) if not name.startswith(self.spare or "/")}

    def test_active_decisions_matter_and_no_others(self) -> None:
        """Another option of an active decision can change the output, one of an inactive decision does not."""
        net = self.make_network(affine=True)
        _shake(net)
        space, x = net.space, self.images()

        def output(options: tuple[str, ...]) -> Tensor:
            with torch.no_grad():
                found: Tensor = net(x, space.make(options))
            return found

        for architecture in self.architectures(space)[-2:]:
            options, found = architecture.options, output(architecture.options)
            for place, (decision, active) in enumerate(zip(space.decisions, space.active(options), strict=True)):
                others = [(*options[:place], o, *options[place + 1 :]) for o in decision.options if o != options[place]]
                others = [other for other in others if space.is_valid(other)]
                if active:
                    assert not others or any(not torch.equal(output(other), found) for other in others), decision.name
                else:
                    idle = [other for other in others if not space.active(other)[place]]
                    assert all(torch.equal(output(other), found) for other in idle), decision.name

    def test_fresh_layers_start_as_torch_starts_them(self) -> None:
        """Parts of larger layers get initial weights of their own size; torch's generator is left alone."""
        space = self.make_space()
        architecture = self.architectures(space)[-1]
        options = {"input_shape": self.input_shape, "classes": self.classes, **self.network}
        before = torch.random.get_rng_state()
        one, again = (derive(space, architecture, seed=3, **options) for _ in range(2))
        assert torch.equal(torch.random.get_rng_state(), before)
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
        held = dict(self.make_network(space.only(architecture)).named_parameters())
        for name, layer in one.named_modules():
            shared = held.get(f"{name}.weight")
            if (
                isinstance(layer, nn.Conv2d | nn.Linear)
                and shared is not None
                and shared.numel() > layer.weight.numel()
            ):
                bound = layer.weight[0].numel() ** -0.5  # torch draws uniformly within one over the root of the inputs
                largest = float(layer.weight.detach().abs().max())
                assert largest <= bound * (1 + 1e-5), name
                assert largest > 0.8 * bound or layer.weight.numel() < 100, name

    def test_seed_fixes_the_weights(self) -> None:
        """The same seed gives the same weights, and torch's global generator is left alone."""
        before = torch.random.get_rng_state()
        a, b, c = (self.make_network(seed=seed) for seed in (1, 1, 2))
        assert torch.equal(torch.random.get_rng_state(), before)
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
        assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))

    @pytest.mark.parametrize("policy", ["batch", "recalibrate"])
    def test_scores_leave_the_network_alone(self, policy: Any) -> None:
        """Scoring changes no weight and no buffer, and gives the same twice."""
        net = self.make_network(track=True, affine=True).train()
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        architecture, x = self.architectures(net.space)[-1], self.images()
        outputs = []
        for _ in range(2):
            with torch.no_grad(), scoring_statistics(net, policy, lambda: net(self.images(8, 1), architecture)):
                outputs.append(net(x, architecture))
        assert torch.equal(*outputs)
        assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())

    def test_memory_format_does_not_matter(self) -> None:
        """Weights that lie channels-last give the same outputs to rounding."""
        net = self.make_network().eval()
        architecture, x = self.architectures(net.space)[-1], self.images()
        usual = net(x, architecture)
        lying = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(lying(x, architecture), usual, atol=1e-4, rtol=1e-4)

    def test_strangers_are_refused(self) -> None:
        """Images of another shape, architectures outside the subspace, and strings that mean nothing."""
        net = self.make_network()
        first = next(d for d in net.space.decisions if len(d.options) > 1)
        outside = _draw(net.space.subspace({first.name: first.options[:1]}), np.random.default_rng(0), 1)[0]
        part = self.make_network(net.space.subspace({first.name: first.options[1:]}))
        with pytest.raises(ValueError, match="images must be"):
            net(torch.zeros(2, self.input_shape[0] + 1, *self.input_shape[1:]), outside)
        with pytest.raises(ValueError, match="is not in this supernet's space"):
            part(self.images(), outside)
        with pytest.raises(ArchitectureError):
            derive(part, outside)
        with pytest.raises(ArchitectureError):
            derive(net, "nonsense")


def _draw(space: Space, rng: np.random.Generator, count: int) -> list[Architecture]:
    return [space.sample(rng) for _ in range(count)]


def _shake(net: nn.Module) -> None:
    """Give every parameter and running average of a batch norm a value of its own, so that a mix-up shows."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for norm in batch_norms(net):
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                if tensor is not None:
                    tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
