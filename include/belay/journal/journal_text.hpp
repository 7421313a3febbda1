// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_text.hpp
/// to_string for the errors and reports of journals, and of drains: texts for logs.
#pragma once

#include <string>  // std::string

#include <belay/core/text.hpp>
#include <belay/journal/journal_options.hpp>
#include <belay/queue/queue.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Returns the sentence of an error; see JournalError::message.   Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const JournalError& error) { return error.message(); }

/// Returns a report as pairs: "operations=12 truncated_bytes=31 truncated_path=outbox/1.journal
/// truncated_offset=128 created=false".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const JournalReport& report) {
    detail::Fields fields;
    fields.add("operations", report.operations).add("truncated_bytes", report.truncated_bytes);
    if (report.truncated_bytes != 0) {
        fields.add("truncated_path", report.truncated_path);
        fields.add("truncated_offset", report.truncated_offset);
    }
    if (report.unwritten_bytes != 0) fields.add("unwritten_bytes", report.unwritten_bytes);
    if (report.undeleted_files != 0) fields.add("undeleted_files", report.undeleted_files);
    return fields.add("created", report.created).take();
}

/// Returns a report of `Queue::drain` as pairs: "drained=3 error=...".   Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const DrainReport& report) {
    detail::Fields fields;
    fields.add("drained", report.drained);
    if (report.error) fields.add("error", to_string(report.error));
    return fields.take();
}

namespace detail {

template <IsOneOf<JournalError, JournalReport, DrainReport> T>
inline constexpr bool has_text<T> = true;

}  // namespace detail

}}  // namespace belay
