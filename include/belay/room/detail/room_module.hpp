// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_module.hpp
/// RoomModule: the rooms of a RoomManager: their documents, edits and administration.
#pragma once

#include <belay/room/detail/admin_answers.hpp>
#include <belay/room/detail/persistence_scheduler.hpp>
#include <belay/room/detail/room_admin.hpp>
#include <belay/room/detail/room_delivery.hpp>
#include <belay/room/detail/room_edits.hpp>
#include <belay/room/detail/room_imports.hpp>
#include <belay/room/detail/room_registry.hpp>
#include <belay/room/detail/room_replication.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The types of the rooms, and of the modules below them.
template <PersistenceLike P, DocumentLike D>
struct RoomTypes {
    using Persistence = P;
    using Document = D;

    using Scheduler = PersistenceScheduler<P>;  ///< the storage
    using Delivery = RoomDelivery<D>;           ///< what is sent to clients
    using Replication = RoomReplication<P, D>;  ///< the peers: other servers

    using Rooms = RoomRegistry<RoomTypes>;
    using Edits = RoomEdits<RoomTypes>;
    using Imports = RoomImports<RoomTypes>;
    using Admin = RoomAdmin<RoomTypes>;
};

/// The rooms. Their parts call one another, and the modules below: storage, delivery and peers.
/// They call nothing of the clients. RoomManager::run_turn closes those in
/// TurnContext::ended_clients, and lets those of a room that was loaded join it.
///
/// Thread safety: the manager's home thread.
template <class Types>
struct RoomModule {
    RoomModule(TurnContext& context, typename Types::Scheduler& storage,
               typename Types::Delivery& delivery, typename Types::Replication& peers,
               const typename Types::Document& empty)
        : answers{context},
          rooms{context, {delivery, edits, storage, peers, admin, imports}, empty},
          edits{context, {rooms, delivery, storage, peers, imports}},
          imports{context, answers, rooms, storage, peers},
          admin{context, answers, {rooms, storage, imports, peers}} {}
    RoomModule(const RoomModule&) = delete;
    RoomModule& operator=(const RoomModule&) = delete;

    AdminAnswers answers;             ///< accepts and answers the calls on whole rooms
    typename Types::Rooms rooms;      ///< from the load to the eviction
    typename Types::Edits edits;      ///< the path of an edit
    typename Types::Imports imports;  ///< adds stored rooms to rooms
    typename Types::Admin admin;      ///< the other calls on whole rooms
};

}}}  // namespace belay::detail
