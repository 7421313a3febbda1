// SPDX-License-Identifier: MIT
/// \file belay/windows/journal.hpp
/// windows::Journal: the durable queue on the files of a Windows machine.
#pragma once

#include <belay/journal/journal.hpp>
#include <belay/windows/files.hpp>

namespace belay { inline namespace BELAY_ABI { namespace windows {

/// The durable queue on the files of a Windows machine; see belay::Journal.
///
///     auto journal = windows::Journal::open("outbox", {.flush = Flush::group});
using Journal = belay::Journal<Files>;

}}}  // namespace belay::windows
