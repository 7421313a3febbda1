// SPDX-License-Identifier: MIT
/// \file belay/link/requests_text.hpp
/// to_string for the state of questions over a link: a text for logs.
#pragma once

#include <string>  // std::string

#include <belay/link/link_text.hpp>
#include <belay/link/requests_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Returns a status as pairs: those of its link, then "waiting=0 in_flight=1 asked=5 ...".
///
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string to_string(const RequestsStatus& status) {
    detail::Fields fields;
    detail::add_link(fields, status.link);
    return fields.add("waiting", status.waiting)
        .add("in_flight", status.in_flight)
        .add("asked", status.asked)
        .add("answered", status.answered)
        .add("timed_out", status.timed_out)
        .add("lost", status.lost)
        .add("cancelled", status.cancelled)
        .add("sent_again", status.sent_again)
        .add("unmatched", status.unmatched)
        .take();
}

namespace detail {

template <>
inline constexpr bool has_text<RequestsStatus> = true;

}  // namespace detail

}}  // namespace belay
