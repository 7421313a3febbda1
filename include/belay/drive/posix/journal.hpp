// SPDX-License-Identifier: MIT
/// \file belay/drive/posix/journal.hpp
/// posix::Journal: the durable queue on the machine's own files.
#pragma once

#include <belay/drive/posix/files.hpp>
#include <belay/queue/journal.hpp>

namespace belay::inline BELAY_ABI::posix {

/// `posix::Journal::open("outbox", {.sync = Sync::group})`; see belay::Journal.
using Journal = belay::Journal<Files>;

}  // namespace belay::inline BELAY_ABI::posix
