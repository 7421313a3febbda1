// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_parts.hpp
/// RoomParts: the parts of a RoomManager, and the parts that each of them calls.
#pragma once

#include <utility>  // std::move

#include <belay/room/detail/admin_answers.hpp>
#include <belay/room/detail/client_closer.hpp>
#include <belay/room/detail/client_sessions.hpp>
#include <belay/room/detail/connection_sessions.hpp>
#include <belay/room/detail/persistence_scheduler.hpp>
#include <belay/room/detail/room_admin.hpp>
#include <belay/room/detail/room_admission.hpp>
#include <belay/room/detail/room_delivery.hpp>
#include <belay/room/detail/room_edits.hpp>
#include <belay/room/detail/room_imports.hpp>
#include <belay/room/detail/room_registry.hpp>
#include <belay/room/detail/room_replication.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The types of the parts. A part that calls others has this as its parameter.
template <PersistenceLike P, AuthorizerLike A, DocumentLike D>
struct RoomPartTypes {
    using Persistence = P;
    using Authorizer = A;
    using Document = D;

    using Closer = ClientCloser<RoomPartTypes>;
    using Admission = RoomAdmission<RoomPartTypes>;
    using Delivery = RoomDelivery<D>;
    using Sessions = ClientSessions<RoomPartTypes>;
    using Connections = ConnectionSessions<RoomPartTypes>;
    using Edits = RoomEdits<RoomPartTypes>;
    using Rooms = RoomRegistry<RoomPartTypes>;
    using Scheduler = PersistenceScheduler<P>;
    using Replication = RoomReplication<P, D>;
    using Imports = RoomImports<RoomPartTypes>;
    using Admin = RoomAdmin<RoomPartTypes>;
};

/// The parts of a RoomManager, which has one of each. Each part has references to the parts that it
/// calls, and to no other one.
template <class Types>
struct RoomParts {
    RoomParts(TurnContext& context, typename Types::Persistence persistence,
              typename Types::Authorizer authorizer, const typename Types::Document& empty)
        : closer{context, rooms},
          admission{context, std::move(authorizer), rooms, sessions, closer},
          delivery{context, closer.clients},
          sessions{context, {admission, closer, delivery, edits, replication}},
          connections{context, admission, closer, sessions, delivery},
          answers{context},
          imports{context, answers, rooms, scheduler, replication},
          admin{context, answers, {rooms, scheduler, imports, replication}},
          scheduler{context, std::move(persistence)},
          replication{context, scheduler},
          edits{context, {rooms, delivery, scheduler, replication, imports}},
          rooms{context, {delivery, edits, scheduler, replication, admin, imports}, empty} {}
    RoomParts(const RoomParts&) = delete;
    RoomParts& operator=(const RoomParts&) = delete;

    // ---- clients
    typename Types::Closer closer;            ///< closes clients, and ends them
    typename Types::Admission admission;      ///< admits and rejects clients
    typename Types::Delivery delivery;        ///< sends to clients
    typename Types::Sessions sessions;        ///< the messages and timers of clients
    typename Types::Connections connections;  ///< the frames and timers of connections
    // ---- calls on whole rooms
    AdminAnswers answers;             ///< accepts and answers the calls
    typename Types::Imports imports;  ///< adds stored rooms to rooms
    typename Types::Admin admin;      ///< the other calls
    // ---- rooms
    typename Types::Scheduler scheduler;      ///< loads, flushes and saves
    typename Types::Replication replication;  ///< exchanges changes with other servers
    typename Types::Edits edits;              ///< the path of an edit
    typename Types::Rooms rooms;              ///< the rooms
};

}}}  // namespace belay::detail
