// SPDX-License-Identifier: MIT
/// \file belay/sim/tcp.hpp
/// sim::Tcp: the transport that dials another host of the simulated world; sim::Endpoint: a place.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/sim/host.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// The name of a simulated host, and a port on it.
///
/// Thread safety: a plain value.
struct Endpoint {
    std::string host;        ///< the name of the host
    std::uint16_t port = 0;  ///< the port

    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// A transport from one host to a port of another, which is named as in a name service.
///
/// Without an endpoint, `Tcp{host}` is the transport of an Endpoints.
///
/// If no process listens on the port, the attempt fails with Cause::refused after a round trip;
/// with an unknown name, at once. Without descriptors it fails with Cause::overloaded at once. In a
/// partition nothing is reported: the attempt ends by its own limit, or when the partition ends.
///
/// Models:        TransportLike.
/// Thread safety: the world's thread.
class Tcp {
public:
    using message_type = Bytes;

    /// `host` is the one on which the process runs, and must outlive the transport.
    Tcp(Host& host, std::string_view peer, std::uint16_t port)
        : Tcp{host, Endpoint{std::string{peer}, port}} {}
    Tcp(Host& host, Endpoint endpoint) : host_{&host}, endpoint_{std::move(endpoint)} {}
    explicit Tcp(Host& host) : Tcp{host, Endpoint{}} {}

    /// Starts to connect.   Pre: it has an endpoint.
    [[nodiscard]] detail::Connection open(const Link<Bytes>& link) {
        BELAY_PRECONDITION(!endpoint_.host.empty(),
                           "sim::Tcp::open: there is no endpoint; write sim::Tcp{host, endpoint}, "
                           "or Endpoints{sim::Tcp{host}, {a, b}}");
        return detail::Connection{dial(link, endpoint_), 0, link};
    }
    /// Starts to connect to the endpoint that an Endpoints has chosen.   Pre: it has none itself.
    [[nodiscard]] detail::Connection open(const Link<Bytes>& link, const Endpoint& endpoint) {
        BELAY_PRECONDITION(endpoint_.host.empty(),
                           "sim::Tcp::open: Endpoints has the endpoints; write "
                           "Endpoints{sim::Tcp{host}, {a, b}}");
        return detail::Connection{dial(link, endpoint), 0, link};
    }

private:
    belay::detail::Ref<detail::Channel> dial(const Link<Bytes>& link, const Endpoint& endpoint) {
        if (detail::name_hangs(detail::Kernel::fabric(*host_), endpoint.host)) {
            host_->after(detail::hang_time, [link] {
                link.closed(Failure::from(std::make_error_code(std::errc::host_unreachable)));
            });
            return {};
        }
        detail::Station* const to = detail::Kernel::fabric(*host_).look_up(endpoint.host);
        if (to == nullptr || !host_->alive()) {
            link.closed(Failure::from(std::make_error_code(std::errc::host_unreachable)));
            return {};
        }
        if (detail::Kernel::lacks_descriptors(*host_)) {
            link.closed(Failure::from(std::make_error_code(std::errc::too_many_files_open)));
            return {};
        }
        return detail::Kernel::dial(*host_, *to, endpoint.port);
    }

    Host* host_;
    Endpoint endpoint_;
};

}}}  // namespace belay::sim
