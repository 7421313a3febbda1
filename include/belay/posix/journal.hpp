// SPDX-License-Identifier: MIT
/// \file belay/posix/journal.hpp
/// posix::Journal: the durable queue on the machine's own files.
#pragma once

#include <belay/journal/journal.hpp>
#include <belay/posix/files.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// `posix::Journal::open("outbox", {.flush = Flush::group})`; see belay::Journal.
using Journal = belay::Journal<Files>;

}}}  // namespace belay::posix
