// SPDX-License-Identifier: MIT
/// \file belay/posix/tcp.hpp
/// posix::Tcp: a transport over TCP that carries whole messages.
/// posix::Unix: the same over a Unix domain socket.
#pragma once

#include <concepts>  // std::convertible_to, std::integral, std::same_as, std::default_initializable
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/link/transport_like.hpp>
#include <belay/posix/detail/socket_connection.hpp>
#include <belay/posix/endpoint.hpp>
#include <belay/posix/resolver.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

namespace detail {
/// The place of the endpoint in a Tcp that gets one with each attempt.
struct Anywhere {};
}  // namespace detail

/// Connects to an endpoint over TCP; messages are Bytes, in frames that `Framing` defines.
///
/// By default a frame has its length in front. For lines write
/// `Tcp{loop, server, Lines{.bytes_max = 4096}}`.
///
/// Calls do not block, except for the lookup of names. To look names up without blocking, add a
/// Resolver, or a ResolverLike of your own: `Tcp{loop, resolver, server}`. If a name has several
/// addresses, they race (RFC 8305, "happy eyeballs"); see docs/reference/posix.md. Without an
/// endpoint, `Tcp{loop}` or `Tcp{loop, resolver}` is the transport of an Endpoints.
///
/// Limits apply in both directions, and the memory of a long message grows as it arrives. A peer
/// that sends too much in one message, or garbage, is closed with Cause::protocol.
///
/// Wrap it in a Heartbeat: TCP alone does not notice a peer that is frozen or cut off.
///
/// Models:        TransportLike, if it has an endpoint; its connections have close(),
///                resume_reading(), limit_messages(), limit_output(), and ping() where the framing
///                has one.
/// Thread safety: the loop's thread. The loop and the resolver must live as long as connections are
///                opened.
/// Format:        as the Framing, LengthPrefixed unless another is named.
template <FramingLike Framing = LengthPrefixed, class Where = Endpoint>
class Tcp {
    static constexpr bool is_fixed = std::same_as<Where, Endpoint>;

public:
    using message_type = Bytes;

    Tcp(Poller& loop, Endpoint endpoint, Framing framing = {}, TcpOptions options = {})
        requires is_fixed
        : Tcp{loop, ResolverRef{}, std::move(endpoint), std::move(framing), options} {}
    Tcp(Poller& loop, Endpoint endpoint, TcpOptions options)
        requires(is_fixed && std::default_initializable<Framing>)
        : Tcp{loop, ResolverRef{}, std::move(endpoint), Framing{}, options} {}
    Tcp(Poller& loop, ResolverRef resolver, Endpoint endpoint, Framing framing = {},
        TcpOptions options = {})
        requires is_fixed
        : poller_{&loop},
          resolver_{resolver},
          endpoint_{std::move(endpoint)},
          framing_{std::move(framing)},
          options_{options} {}
    explicit Tcp(Poller& loop, Framing framing = {}, TcpOptions options = {})
        requires(!is_fixed)
        : Tcp{loop, ResolverRef{}, std::move(framing), options} {}
    Tcp(Poller& loop, ResolverRef resolver, Framing framing = {}, TcpOptions options = {})
        requires(!is_fixed)
        : poller_{&loop}, resolver_{resolver}, framing_{std::move(framing)}, options_{options} {}

    /// Does not compile, because only a posix::Loop waits for sockets.
    template <class Loop, class... More>
        requires(!detail::PollingLoop<Loop>)
    explicit Tcp(Loop&, Endpoint, More&&...) {
        static_assert(detail::explain_polling_loop<Loop>());
    }
    /// Does not compile, because a host and a port are one argument.
    template <class Loop, std::convertible_to<std::string_view> Host, std::integral Port,
              class... More>
    Tcp(Loop&, const Host&, Port, More&&...) {
        static_assert(!sizeof(Host),
                      "posix::Tcp: write the host and the port as one argument: posix::Tcp{loop, "
                      "posix::Endpoint{host, port}}; see docs/reference/posix.md");
    }

    /// Does not compile, because a text is not an endpoint.
    template <class Loop, std::convertible_to<std::string_view> Text>
    Tcp(Loop&, const Text&) {
        static_assert(!sizeof(Text),
                      "posix::Tcp: write the host and the port as an endpoint: posix::Tcp{loop, "
                      "posix::Endpoint{host, port}}; see docs/reference/posix.md");
    }

    /// Starts to connect; reports the result by `link`.   Throws: std::bad_alloc.
    [[nodiscard]] SocketConnection<Framing> open(const Link<Bytes>& link)
        requires is_fixed
    {
        return {*poller_, endpoint_, framing_, options_, link, {resolver_, &memory_}};
    }
    /// Starts to connect to the endpoint that an Endpoints has chosen.
    [[nodiscard]] SocketConnection<Framing> open(const Link<Bytes>& link, const Endpoint& endpoint)
        requires(!is_fixed)
    {
        return {*poller_, endpoint, framing_, options_, link, {resolver_, &memory_}};
    }

    /// Returns the address that is dialled.
    [[nodiscard]] const Endpoint& endpoint() const noexcept
        requires is_fixed
    {
        return endpoint_;
    }
    /// Sets the endpoint of the next attempt.
    void set_endpoint(Endpoint endpoint) noexcept
        requires is_fixed
    {
        endpoint_ = std::move(endpoint);
    }

    /// Returns the addresses that the last dial of a name tried in vain, each with its own cause:
    /// "[2001:db8::1]:80 no answer; 192.0.2.1:80 refused: Connection refused". It is empty after a
    /// success, and while a dial goes on. A dial of a numeric address does not change it.
    [[nodiscard]] std::string_view dial_report() const noexcept { return memory_.text(); }

private:
    Poller* poller_;
    ResolverRef resolver_;
    [[no_unique_address]] Where endpoint_{};
    Framing framing_;
    TcpOptions options_;
    belay::detail::OwnDialMemory memory_{};
};

/// The type of `Tcp{loop}` and `Tcp{loop, resolver}`, which dial the endpoints of an Endpoints.
template <FramingLike Framing = LengthPrefixed>
using TcpForEndpoints = Tcp<Framing, detail::Anywhere>;

// Not the implicit guides: clang 14 does not check the constraints of constructors for them.
template <class Loop, FramingLike Framing = LengthPrefixed>
Tcp(Loop&, Endpoint, Framing = {}, TcpOptions = {}) -> Tcp<Framing>;
template <class Loop>
Tcp(Loop&, Endpoint, TcpOptions) -> Tcp<>;
template <class Loop, std::convertible_to<std::string_view> Host, std::integral Port, class... More>
Tcp(Loop&, const Host&, Port, More&&...) -> Tcp<>;
template <class Loop, ResolverLike R, FramingLike Framing = LengthPrefixed>
Tcp(Loop&, R&, Endpoint, Framing = {}, TcpOptions = {}) -> Tcp<Framing>;
template <class Loop, FramingLike Framing = LengthPrefixed>
Tcp(Loop&, Framing = {}, TcpOptions = {}) -> Tcp<Framing, detail::Anywhere>;
template <class Loop, ResolverLike R, FramingLike Framing = LengthPrefixed>
Tcp(Loop&, R&, Framing = {}, TcpOptions = {}) -> Tcp<Framing, detail::Anywhere>;

/// Connects to a server of the same machine through a Unix domain socket for streams.
///
/// It carries the same messages, frames and limits as Tcp, and its connections are of the same
/// type: `Unix{loop, {"/run/app.sock"}, Lines{}}`. A Listener serves it with
/// `listen(UnixPath{"/run/app.sock"})`. `silent_for` of TcpOptions does not apply.
///
/// A path that is too long or not valid fails with Cause::permanent; see UnixErrc.
///
/// Models:        TransportLike; its connections have close(), resume_reading(), limit_messages(),
///                limit_output(), and ping() where the framing has one.
/// Thread safety: the loop's thread. The loop must live as long as connections are opened.
/// Format:        as the Framing, LengthPrefixed unless another is named.
template <FramingLike Framing = LengthPrefixed>
class Unix {
public:
    using message_type = Bytes;

    Unix(Poller& loop, UnixPath path, Framing framing = {}, TcpOptions options = {})
        : poller_{&loop}, path_{std::move(path)}, framing_{std::move(framing)}, options_{options} {}
    Unix(Poller& loop, UnixPath path, TcpOptions options)
        requires std::default_initializable<Framing>
        : Unix{loop, std::move(path), Framing{}, options} {}

    /// Does not compile, because only a posix::Loop waits for sockets.
    template <class Loop, class... More>
        requires(!detail::PollingLoop<Loop>)
    Unix(Loop&, UnixPath, More&&...) {
        static_assert(detail::explain_polling_loop<Loop>());
    }

    /// Connects; reports the result by `link`.   Throws: std::bad_alloc.
    [[nodiscard]] SocketConnection<Framing> open(const Link<Bytes>& link) {
        return {*poller_, path_, framing_, options_, link};
    }

    /// Returns the path that is dialled.
    [[nodiscard]] const UnixPath& endpoint() const noexcept { return path_; }
    /// Sets the path of the next attempt.
    void set_endpoint(UnixPath path) noexcept { path_ = std::move(path); }

private:
    Poller* poller_;
    UnixPath path_;
    Framing framing_;
    TcpOptions options_;
};

template <class Loop, FramingLike Framing = LengthPrefixed>
Unix(Loop&, UnixPath, Framing = {}, TcpOptions = {}) -> Unix<Framing>;
template <class Loop>
Unix(Loop&, UnixPath, TcpOptions) -> Unix<>;

}}}  // namespace belay::posix
