// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_limits.hpp
/// why_not_possible: whether a WorkQueue can work over a log with given options.
#pragma once

#include <belay/journal/log_like.hpp>
#include <belay/work/work_error.hpp>
#include <belay/work/work_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns why a queue cannot be opened with these options over this log. If the log accepted only
/// shorter records than the queue may write, it could refuse copies of items and keys, and would
/// then grow.
template <LogLike Log>
[[nodiscard]] WorkError why_not_possible(const WorkOptions& o, const Log& log) noexcept {
    const std::error_code bad = make_error_code(QueueErrc::bad_options);
    if (!possible(o)) return {bad, 0, "see WorkOptions"};
    if constexpr (HasRecordLimit<Log>) {
        const std::size_t most = log.record_bytes_max();
        if (o.record_bytes_max > most) return {bad, 0, "", o.record_bytes_max, most};
    }
    return {};
}

}}}  // namespace belay::detail
