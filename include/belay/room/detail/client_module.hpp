// SPDX-License-Identifier: MIT
/// \file belay/room/detail/client_module.hpp
/// ClientModule: the clients of a RoomManager, from the accepted connection to the close.
#pragma once

#include <utility>  // std::move

#include <belay/room/detail/client_closer.hpp>
#include <belay/room/detail/client_sessions.hpp>
#include <belay/room/detail/connection_sessions.hpp>
#include <belay/room/detail/room_admission.hpp>
#include <belay/room/detail/room_module.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The types of the clients, and of the modules below them.
template <PersistenceLike P, AuthorizerLike A, DocumentLike D>
struct ClientTypes : RoomTypes<P, D> {
    using Authorizer = A;

    using Closer = ClientCloser<ClientTypes>;
    using Sessions = ClientSessions<ClientTypes>;
    using Admission = RoomAdmission<ClientTypes>;
    using Connections = ConnectionSessions<ClientTypes>;
};

/// The clients: the highest module, which calls all others.
///
/// Thread safety: the manager's home thread.
template <class Types>
struct ClientModule {
    template <class Room>
    ClientModule(TurnContext& context, ClientTable& table, typename Types::Authorizer authorizer,
                 Room& room, typename Types::Delivery& delivery, typename Types::Replication& peers)
        : closer{context, table, room.rooms},
          sessions{context, {admission, closer, delivery, room.edits, peers}},
          admission{context, std::move(authorizer), room.rooms, sessions, closer},
          connections{context, admission, closer, sessions, delivery} {}
    ClientModule(const ClientModule&) = delete;
    ClientModule& operator=(const ClientModule&) = delete;

    typename Types::Closer closer;            ///< closes clients, and ends them
    typename Types::Sessions sessions;        ///< the messages and timers of clients
    typename Types::Admission admission;      ///< admits and rejects clients
    typename Types::Connections connections;  ///< the frames and timers of connections
};

}}}  // namespace belay::detail
