// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <memory>
#include <string>

#include <belay/sim/explore.hpp>
#include <belay/sim/stream.hpp>
#include <belay/sim/world.hpp>

// expect-error: World: write the seed as World.Seed.7..
namespace world_of_a_number {
void use() {
#if defined(BELAY_CONTROL)
    belay::sim::World world{belay::Seed{7}};
#else
    belay::sim::World world{7};
#endif
}
}  // namespace world_of_a_number

// expect-error: sim::explore: the body must be copyable
namespace explore_a_body_that_only_moves {
bool use() {
#if defined(BELAY_CONTROL)
    auto number = std::make_shared<int>(7);
#else
    auto number = std::make_unique<int>(7);
#endif
    const auto body = [own = std::move(number)](belay::sim::World&) { return *own == 7; };
    return static_cast<bool>(belay::sim::explore({.seeds = 3}, body));
}
}  // namespace explore_a_body_that_only_moves

// expect-error: sim::explore: the body must be callable as bool body
namespace explore_a_body_without_a_result {
bool use() {
#if defined(BELAY_CONTROL)
    const auto body = [](belay::sim::World&) { return true; };
#else
    const auto body = [](belay::sim::World&) {};
#endif
    return static_cast<bool>(belay::sim::explore({.seeds = 3}, body));
}
}  // namespace explore_a_body_without_a_result

// expect-error: World::always, never, eventually: pass a function, which is called after each
namespace world_property_that_is_a_value {
void use(belay::sim::World& world, const std::string& finding) {
#if defined(BELAY_CONTROL)
    world.always("one copy", [&] { return finding; });
#else
    world.always("one copy", finding);
#endif
}
}  // namespace world_property_that_is_a_value

// expect-error: World::never: the function must return bool
namespace world_never_with_a_text {
void use(belay::sim::World& world) {
#if defined(BELAY_CONTROL)
    world.never("two copies", [] { return false; });
#else
    world.never("two copies", [] { return std::string{}; });
#endif
}
}  // namespace world_never_with_a_text

// expect-error: Host::listen: on_accept must be callable as on_accept
namespace host_listener_of_a_reference {
#if defined(BELAY_CONTROL)
using Connection = belay::sim::Accepted;
#else
using Connection = belay::sim::Accepted&;
#endif
void use(belay::sim::Host& host) {
    host.listen(9000, [](Connection) {});
}
}  // namespace host_listener_of_a_reference

// expect-error: listen_stream: on_accept must be callable as on_accept
namespace stream_listener_of_messages {
#if defined(BELAY_CONTROL)
using Connection = belay::sim::AcceptedStream<>;
#else
using Connection = belay::sim::Accepted;
#endif
void use(belay::sim::Host& host) {
    belay::sim::listen_stream(host, 9000, [](Connection) {});
}
}  // namespace stream_listener_of_messages
