// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_parts.hpp
/// RoomParts: the types of the parts of a RoomManager.
#pragma once

#include <belay/room/detail/client_sessions.hpp>
#include <belay/room/detail/multiplexed_connections.hpp>
#include <belay/room/detail/persistence_scheduler.hpp>
#include <belay/room/detail/replication.hpp>
#include <belay/room/detail/room_admin.hpp>
#include <belay/room/detail/room_admission.hpp>
#include <belay/room/detail/room_delivery.hpp>
#include <belay/room/detail/room_edits.hpp>
#include <belay/room/detail/room_registry.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Names the parts of a RoomManager, which call each other. RoomManager has one of each, and each
/// has references to the parts that it calls.
template <PersistenceLike P, AuthorizerLike A, DocumentLike D>
struct RoomParts {
    using Persistence = P;
    using Authorizer = A;
    using Document = D;

    using Admission = RoomAdmission<RoomParts>;             ///< admits, rejects and closes clients
    using Sessions = ClientSessions<RoomParts>;             ///< the clients of rooms
    using Connections = MultiplexedConnections<RoomParts>;  ///< several clients on one connection
    using Delivery = RoomDelivery<Admission, D>;            ///< sends to clients
    using Edits = RoomEdits<RoomParts>;                     ///< the path of an edit
    using Rooms = RoomRegistry<RoomParts>;                  ///< the rooms
    using Scheduler = PersistenceScheduler<RoomParts>;      ///< loads, flushes and saves
    using Replicas = Replication<RoomParts>;  ///< exchanges changes with other servers
    using Admin = RoomAdmin<RoomParts>;       ///< the calls on whole rooms
};

}}}  // namespace belay::detail
