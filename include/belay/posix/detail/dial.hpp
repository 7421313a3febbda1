// SPDX-License-Identifier: MIT
/// \file belay/posix/detail/dial.hpp
/// Dial: the steps from an endpoint to a connecting socket.
#pragma once

#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/link/detail/link_wake.hpp>
#include <belay/posix/detail/basic_resolver.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

/// The state of an attempt until it is connected: the addresses, and the pending look-up.
///
/// Thread safety: the loop's thread.
class Dial : public belay::detail::Counted {
public:
    /// Finds the addresses: at once if the host is numeric, otherwise by the resolver. Without a
    /// resolver it blocks.
    /// Returns: nullopt if the look-up is pending.   Throws: std::bad_alloc.
    [[nodiscard]] std::optional<std::error_code> begin(const Endpoint& endpoint,
                                                       BasicResolver* resolver,
                                                       const Link<Bytes>& link) {
        port_ = endpoint.port;
        Addresses addresses;
        std::error_code error = addresses.resolve_numeric(endpoint, false);
        if (error == std::error_code{EAI_NONAME, resolve_category()}) {
            if (resolver != nullptr) {
                resolver->look_up(endpoint.host,
                                  question_.ask(belay::detail::LinkWake<Bytes>{link}));
                return std::nullopt;
            }
            error = addresses.resolve(endpoint, false);
        }
        found_ = copy_of(addresses.first());
        return error;
    }
    [[nodiscard]] Instant deadline() const noexcept { return question_.deadline(); }
    [[nodiscard]] bool answered() const noexcept { return question_.answered(); }
    /// Takes the result of the resolver.   Pre: answered().
    [[nodiscard]] std::error_code take() {
        std::optional<Found> found = question_.take();
        if (!found) return std::make_error_code(std::errc::operation_canceled);
        found_ = std::move(found->addresses);
        for (SocketAddress& address : found_) address.set_port(port_);
        return found->error;
    }
    /// Returns a socket that starts to connect to the next address. If there is none left, it is
    /// empty, and `error` is the reason.
    [[nodiscard]] Socket next(std::error_code& error) noexcept {
        while (tried_ < found_.size()) {
            SocketAddress& address = found_[tried_++];
            Socket socket = Socket::tcp(address.storage.ss_family);
            if (socket) {
                const int answer = ::connect(socket.get(), address.as_sockaddr(), address.size);
                if (answer == 0 || errno == EINPROGRESS || errno == EINTR) return socket;
            }
            error = errno_code();
        }
        return Socket{};
    }

private:
    std::vector<SocketAddress> found_;
    std::size_t tried_ = 0;
    std::uint16_t port_ = 0;
    belay::detail::AskingByLink<Found, Bytes> question_;
};

}}}  // namespace belay::posix::detail
