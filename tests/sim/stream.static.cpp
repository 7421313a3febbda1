// SPDX-License-Identifier: MIT
// Goal: the types of stream.hpp satisfy their concepts.
#include <belay/sim/stream.hpp>

#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>

using namespace belay;
using namespace belay::sim;

static_assert(TransportLike<Stream<>>);
static_assert(TransportLike<AcceptedStream<>>);
static_assert(TransportLike<Heartbeat<Stream<>>>);
static_assert(TransportLike<Stream<Lines>>);
static_assert(std::copy_constructible<Stream<>>);
static_assert(!std::copy_constructible<AcceptedStream<>>);
