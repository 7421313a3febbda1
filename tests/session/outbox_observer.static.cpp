// SPDX-License-Identifier: MIT
// Goal: an observer of an outbox is checked for the form of its hooks. Method: static_assert.
#include <belay/session/outbox.hpp>

#include <string>

namespace {

struct OutboxStandIn {};
using OutboxStandInHooks = belay::detail::OutboxHooks<OutboxStandIn, std::string>;

struct HearsNumbers {
    void on_sent(std::uint64_t, const std::string&);
    void on_unsent(std::uint64_t, std::string);
};
struct HearsOutbox {
    void on_sent(auto& outbox, std::uint64_t, const std::string&);
    void on_message(auto& outbox, std::string, belay::Lane);
};
struct SentWithoutNumber {
    void on_sent(const std::string&);
};
struct UnsentWithLane {
    void on_unsent(std::string, belay::Lane);
};
struct SentMisspelt {
    void on_send(std::uint64_t, const std::string&);
};

static_assert(OutboxStandInHooks::explain<HearsNumbers>());
static_assert(OutboxStandInHooks::explain<HearsOutbox>());
static_assert(OutboxStandInHooks::explain<belay::NoObserver>());
static_assert(!OutboxStandInHooks::Sent::right<SentWithoutNumber>);
static_assert(!OutboxStandInHooks::Unsent::right<UnsentWithLane>);
static_assert(!belay::detail::has_any_hook_of<SentMisspelt, OutboxStandInHooks::Sent>);

}  // namespace
