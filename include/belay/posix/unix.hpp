// SPDX-License-Identifier: MIT
/// \file belay/posix/unix.hpp
/// posix::Unix: a transport over a Unix domain socket that carries whole messages.
#pragma once

#include <concepts>  // std::default_initializable
#include <utility>   // std::move

#include <belay/link/transport_like.hpp>
#include <belay/posix/detail/socket_connection.hpp>
#include <belay/posix/unix_path.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

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
/// Format:        docs/reference/posix.md, "Frames".
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

template <class Loop>
Unix(Loop&, UnixPath) -> Unix<>;
template <class Loop>
Unix(Loop&, UnixPath, TcpOptions) -> Unix<>;
template <class Loop, FramingLike Framing>
Unix(Loop&, UnixPath, Framing) -> Unix<Framing>;
template <class Loop, FramingLike Framing>
Unix(Loop&, UnixPath, Framing, TcpOptions) -> Unix<Framing>;

}}}  // namespace belay::posix
