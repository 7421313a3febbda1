// SPDX-License-Identifier: MIT
/// \file belay/posix/journal_rooms.hpp
/// posix::JournalRooms: rooms on the machine's own files.
#pragma once

#include <belay/posix/journal.hpp>
#include <belay/room/journal_rooms.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// `posix::JournalRooms::open("boards", std::move(*log))`; see belay::JournalRooms.
using JournalRooms = belay::JournalRooms<Journal, Files>;

}}}  // namespace belay::posix
