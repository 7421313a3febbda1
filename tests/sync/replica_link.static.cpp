// SPDX-License-Identifier: MIT
// Goal: a ReplicaLink is a server of a Replica. Method: constant expressions.
#include <belay/sync/replica_link.hpp>

#include <type_traits>

#include <belay/drive/loop.hpp>
#include <belay/sim/tcp.hpp>

#include "support/sync/text_codec.hpp"

namespace {

using Link = belay::part::ReplicaLink<belay::sim::Tcp, belay_test::TextCodec, belay::Loop<>>;
static_assert(belay::part::SyncServerLike<Link, belay::Operation<std::string>>);
static_assert(!std::is_move_constructible_v<Link>);

}  // namespace
