// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/keeps_note.hpp
/// KeepsNote: a log that keeps a note in addition to its entries, as a Journal does.
#pragma once

#include <concepts>      // std::same_as
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Semantics that the compiler cannot check: each note replaces the one before. The log keeps the
/// latest note as long as it exists. `commit()` makes the note durable.
template <class L>
concept KeepsNote = requires(L& log, const L& known, BytesView note) {
    { log.keep(note) } noexcept -> std::same_as<std::error_code>;
    { known.kept() } noexcept -> std::same_as<BytesView>;
};

}}}  // namespace belay::detail
