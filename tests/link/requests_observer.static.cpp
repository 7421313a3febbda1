// SPDX-License-Identifier: MIT
// Goal: an observer of a Requests is checked for the form of its hooks. Method: static_assert.
#include <belay/link/requests.hpp>

#include <string>

namespace {

struct RequestsStandIn {};
using RequestsStandInHooks = belay::detail::RequestsHooks<RequestsStandIn, std::string>;

struct ObservesUnmatched {
    void on_unmatched(auto& requests, const std::string&);
};
struct ObservesRequestsMessages {
    void on_message(std::string, belay::Lane);
};
struct UnmatchedWithLane {
    void on_unmatched(std::string, belay::Lane);
};
struct UnmatchedMisspelt {
    void on_unmached(std::string);
};

static_assert(RequestsStandInHooks::explain<ObservesUnmatched>());
static_assert(RequestsStandInHooks::explain<ObservesRequestsMessages>());
static_assert(RequestsStandInHooks::explain<belay::NoObserver>());
static_assert(!RequestsStandInHooks::Unmatched::right<UnmatchedWithLane>);
static_assert(!belay::detail::has_any_hook_of<UnmatchedMisspelt, RequestsStandInHooks::Unmatched>);

}  // namespace
