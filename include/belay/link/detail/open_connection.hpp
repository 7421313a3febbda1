// SPDX-License-Identifier: MIT
/// \file belay/link/detail/open_connection.hpp
/// open_connection: opens a connection in its slot. An open() that throws ends the attempt.
#pragma once

#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Builds the connection that `open` returns, in its slot.
///
/// If `open` throws, the attempt ends like any other: `link` is closed with LinkErrc::open_threw.
/// Throws: what `open` throws.
template <class M, class Connection, class Open>
Connection& open_connection(const Link<M>& link, part::Slot<Connection>& slot, Open&& open) {
    struct Unwind {
        const Link<M>& link;
        bool armed = true;
        ~Unwind() {
            if (armed) link.closed(failure_of(LinkErrc::open_threw));
        }
    } unwind{link};
    Connection& connection = slot.emplace_from(open);
    unwind.armed = false;
    return connection;
}

}}}  // namespace belay::detail
