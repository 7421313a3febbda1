// SPDX-License-Identifier: MIT
// For the page on adapters: a server whose rights are in SQLite.
#pragma once

#include <functional>

#include <belay/adapter/boost_asio.hpp>
#include <belay/adapter/jwt_authorizer.hpp>
#include <belay/adapter/sqlite_boards.hpp>
#include <belay/room.hpp>
#include <belay/room/audited.hpp>

#include "usual.hpp"

namespace frames::boards {

extern boost::asio::io_context context;
extern jwt::Verifier* verifier;

}  // namespace frames::boards
