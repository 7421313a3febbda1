// SPDX-License-Identifier: MIT
/// \file belay/posix/journal.hpp
/// posix::Journal: the durable queue on the files of the machine.
#pragma once

#include <belay/journal/journal.hpp>
#include <belay/posix/files.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// The durable queue on the files of the machine; see belay::Journal.
///
///     auto journal = posix::Journal::open("outbox", {.flush = Flush::group});
using Journal = belay::Journal<Files>;

}}}  // namespace belay::posix
