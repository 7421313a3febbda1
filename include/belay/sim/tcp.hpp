// SPDX-License-Identifier: MIT
/// \file belay/sim/tcp.hpp
/// sim::Tcp: the transport that dials another host of the simulated world.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/sim/host.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// A transport from one host to a port of another, which is named as in a name service.
///
/// If no process listens on the port, the attempt fails with Cause::refused after a round trip;
/// with an unknown name, at once. In a partition nothing is reported: the attempt ends by its own
/// limit, or when the partition ends.
///
/// Models:        TransportLike.
/// Thread safety: the world's thread.
class Tcp {
public:
    using message_type = Bytes;

    /// `host` is the one on which the process runs, and must outlive the transport.
    Tcp(Host& host, std::string_view peer, std::uint16_t port)
        : host_{&host}, peer_{peer}, port_{port} {}

    [[nodiscard]] detail::Connection open(const Link<Bytes>& link) {
        return detail::Connection{dial(link), 0, link};
    }

private:
    belay::detail::Ref<detail::Channel> dial(const Link<Bytes>& link) {
        detail::Station* const to = detail::Kernel::fabric(*host_).look_up(peer_);
        if (to == nullptr || !host_->alive()) {
            link.closed(Failure::from(std::make_error_code(std::errc::host_unreachable)));
            return {};
        }
        return detail::Kernel::dial(*host_, *to, port_);
    }

    Host* host_;
    std::string peer_;
    std::uint16_t port_;
};

}}}  // namespace belay::sim
