// SPDX-License-Identifier: MIT
/// \file belay/sync/remote_like.hpp
/// RemoteLike: the side of a bridge that is there: a server that keeps scenes.
#pragma once

#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_void_v

#include <belay/core/completion.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/result.hpp>
#include <belay/sync/local_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

BELAY_DETAIL_MEMBER(close);
BELAY_DETAIL_MEMBER(attach);
BELAY_DETAIL_MEMBER(deadline);
BELAY_DETAIL_MEMBER(advance);

template <class R>
concept HasFetchScene =
    HasContentType<R> &&
    requires(R& remote, std::string_view session,
             Completion<Result<std::optional<Scene<typename R::content_type>>, Failure>> c) {
        { remote.fetch(session, std::move(c)) } -> std::same_as<void>;
    };
template <class R>
concept HasPushScene = HasContentType<R> && requires(R& remote, std::string_view session,
                                                     SceneOf<R>&& scene, Completion<Failure> c) {
    { remote.push(session, static_cast<SceneOf<R>&&>(scene), std::move(c)) } -> std::same_as<void>;
};
template <class R>
concept HasCloseRemote = requires(R& remote, Completion<Failure> c) {
    { remote.close(std::move(c)) } -> std::same_as<void>;
};
// Members of these names that cannot be called so would be passed over in silence.
template <class R>
concept CloseIsRight = HasCloseRemote<R> || !has_close<R>();
template <class R>
concept IsNoHalfMachine =
    MachineLike<R> || (!has_attach<R>() && !has_deadline<R>() && !has_advance<R>());

}  // namespace detail

/// The side of a bridge that is there: where scenes are pulled from, and pushed to.
///
/// - `content_type`: as of the LocalLike.
/// - `fetch(session, Completion<Result<std::optional<Scene<content_type>>, Failure>>) -> void`:
///   what the session looks like there.
/// - `push(session, Scene<content_type>, Completion<Failure>) -> void`: it looks like this from now
///   on. The answer has Cause::none if the remote has taken it.
/// - optional: `close(Completion<Failure>) -> void`: the bridge ends, this is its last call; it
///   waits a second for the answer at most.
/// - optional: the members of a MachineLike, all of them. The bridge runs a remote that it owns; of
///   one that it refers to (std::ref) the owner attaches it to a driver.
///
/// Each is called in the bridge's turn, on its thread, and never blocks; the answer comes at once,
/// later, or from another thread. One call is under way for each session at most, and a push may be
/// repeated whose answer was lost. When the bridge gives a call up, `wanted()` of its Completion is
/// false, and a remote that it runs gets a turn. A Completion that is dropped says
/// that the call was lost; so does a call that throws.
///
/// A Failure says by its cause what becomes of the rest: `protocol`, `corrupt`, `permanent` and
/// `forbidden` are of that session, all others of the remote, which is away then. `retry_after`
/// lengthens the wait.
///
/// Semantics the compiler cannot check: a fetched scene has the stamp that it was pushed with, as a
/// whole, or one that the remote gave it itself; a changed one a later stamp than it had. A remote
/// that, of two scenes, keeps the one with the later stamp, loses no edit to a race.
template <class R>
concept RemoteLike =
    detail::ContentIsRight<R> && detail::HasFetchScene<R> && detail::HasPushScene<R> &&
    detail::CloseIsRight<R> && detail::IsNoHalfMachine<R>;

namespace explain {

/// Names every requirement of RemoteLike that R lacks.
template <class R>
consteval bool remote_like() {
    static_assert(detail::HasContentType<R>,
                  "RemoteLike: R needs a content_type, see docs/bridge.md");
    if constexpr (detail::HasContentType<R>) {
        static_assert(detail::ContentIsRight<R>,
                      "RemoteLike: the content_type must be copyable, and needs 'std::uint64_t "
                      "content_hash(const content_type&)' in its namespace");
        static_assert(detail::HasFetchScene<R>,
                      "RemoteLike: R needs 'void fetch(std::string_view session, "
                      "belay::Completion<belay::Result<std::optional<belay::Scene<content>>, "
                      "belay::Failure>>)'");
        static_assert(detail::HasPushScene<R>,
                      "RemoteLike: R needs 'void push(std::string_view session, "
                      "belay::Scene<content>, belay::Completion<belay::Failure>)'");
    }
    static_assert(detail::CloseIsRight<R>,
                  "RemoteLike: R's close must be 'void close(belay::Completion<belay::Failure>)'");
    static_assert(detail::IsNoHalfMachine<R>,
                  "RemoteLike: R has one of attach, deadline, advance: it needs all of a "
                  "MachineLike");
    return RemoteLike<R>;
}

}  // namespace explain

}}  // namespace belay
