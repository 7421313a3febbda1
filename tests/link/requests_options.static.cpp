// SPDX-License-Identifier: MIT
// Goal: options that contradict each other are named. Method: static_assert.
#include <belay/link/requests.hpp>

#include <belay/core/bytes.hpp>

namespace {

using belay::RequestsOptions;

static_assert(RequestsOptions{}.check().empty());
static_assert(RequestsOptions{.in_flight_max = 0}.check() ==
              "RequestsOptions: in_flight_max must be > 0");
static_assert(RequestsOptions{.in_flight_max = 1 << 20, .waiting_max = 0}.check().empty());
static_assert(!RequestsOptions{.in_flight_max = 1 << 20, .waiting_max = 1}.check().empty());
static_assert(!RequestsOptions{.waiting_max = belay::no_limit}.check().empty());
static_assert(RequestsOptions{.sends_max = 0}.check() == "RequestsOptions: sends_max must be > 0");

}  // namespace
