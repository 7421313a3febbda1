// SPDX-License-Identifier: MIT
/// \file belay/room.hpp
/// Includes the main headers of the component room: documents that several clients edit, their
/// storages, and the server.
#pragma once

#include <belay/room/audited.hpp>
#include <belay/room/authorizer_like.hpp>
#include <belay/room/document_like.hpp>
#include <belay/room/fanout_like.hpp>
#include <belay/room/journal_rooms.hpp>
#include <belay/room/memory_rooms.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/room/protocols.hpp>
#include <belay/room/room_core.hpp>
#include <belay/room/room_errc.hpp>
#include <belay/room/room_manager.hpp>
#include <belay/room/room_observer.hpp>
#include <belay/room/room_options.hpp>
#include <belay/room/room_protocol_like.hpp>
#include <belay/room/room_stats.hpp>
