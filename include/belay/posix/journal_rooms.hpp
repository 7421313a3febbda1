// SPDX-License-Identifier: MIT
/// \file belay/posix/journal_rooms.hpp
/// posix::JournalRooms: stores rooms on the files of the machine.
#pragma once

#include <belay/posix/journal.hpp>
#include <belay/room/journal_rooms.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// Stores rooms on the files of the machine; see belay::JournalRooms.
///
///     auto rooms = posix::JournalRooms::open("boards", std::move(*log));
using JournalRooms = belay::JournalRooms<Journal, Files>;

}}}  // namespace belay::posix
