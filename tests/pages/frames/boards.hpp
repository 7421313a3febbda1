// SPDX-License-Identifier: MIT
// For the page on bindings: a server whose rights are in SQLite.
#pragma once

#include <functional>

#include <belay/asio/boost.hpp>
#include <belay/openssl/jwt_authorizer.hpp>
#include <belay/room.hpp>
#include <belay/room/audited.hpp>
#include <belay/sqlite/boards.hpp>

#include "usual.hpp"

namespace frames::boards {

extern boost::asio::io_context context;
extern jwt::Verifier* verifier;

}  // namespace frames::boards
