// SPDX-License-Identifier: MIT
// For the pages on rooms: a manager, and its parts from the user.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <belay/posix/journal_rooms.hpp>
#include <belay/room.hpp>
#include <belay/yjs.hpp>

#include "usual.hpp"

namespace frames::room {

using MyRights = EveryoneEdits;
using Mine = MemoryRooms;  // a persistence
extern RoomManager<MemoryRooms, MyRights> rooms;
extern posix::JournalRooms journal_rooms;
extern std::string public_key_pem;
std::string owner_of(std::string_view board);
std::error_code write_down(const AuditRow& row);
std::optional<std::string> user_of(std::string_view token);
std::optional<Access> read_access(const std::string& user, const std::string& room_id);
struct Thread {
    void post(auto&&) {}
};
extern Thread database_thread;
void write_file(const std::string& board, const StoredRoom& room);

struct Log {
    void append(BytesView update);
};
extern Log log;
extern const Bytes update, their_vector;
void reject(const yjs::UpdateError& error);
void save(const Bytes& part);

}  // namespace frames::room
