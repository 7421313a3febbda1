// SPDX-License-Identifier: MIT
/// \file belay/sync/remote_like.hpp
/// RemoteLike: the remote side of a bridge, a server that stores scenes.
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
// Without these checks, a member of such a name with another signature would be ignored without an
// error.
template <class R>
concept CloseIsRight = HasCloseRemote<R> || !has_close<R>;
template <class R>
concept HasRemoveRemote = requires(R& remote, std::string_view session,
                                   const part::SceneRemoval& removal, Completion<Failure> c) {
    { remote.remove_scene(session, removal, std::move(c)) } -> std::same_as<void>;
};
template <class R>
concept RemoveRemoteIsRight = HasRemoveRemote<R> || !has_remove_scene<R>;
template <class R>
concept IsNoHalfMachine = MachineLike<R> || (!has_attach<R> && !has_deadline<R> && !has_advance<R>);

}  // namespace detail

/// The remote side of a bridge: a server to which scenes are pushed, and from which they are
/// pulled.
///
/// - `content_type`: the same type as that of the LocalLike.
/// - `fetch(session, Completion<Result<std::optional<Scene<content_type>>, Failure>>) -> void`:
/// requests the scene that the remote has for the session.
/// - `push(session, Scene<content_type>, Completion<Failure>) -> void`: replaces the scene of the
///   session at the remote. The answer has Cause::none if the remote has accepted the scene.
/// - optional: `close(Completion<Failure>) -> void`: the last call of a bridge that ends. The
///   bridge waits for the answer for one second at most.
/// - optional: `remove_scene(session, part::SceneRemoval, Completion<Failure>) -> void`: deletes
///   the scene, and stores a tombstone with the removal's stamp and `saw`. From then on `fetch`
///   returns a scene with these and `removed`, until a scene is pushed again. It may reject the
///   deletion of a scene that its author did not see, as it may reject a push. The local side needs
///   `remove_scene`, too. Without it, scenes are never deleted at the remote.
/// - optional: the members of a MachineLike, all of them. The bridge runs a remote that it owns. If
///   it only refers to the remote (std::ref), the owner attaches the remote to a driver.
///
/// The bridge calls each of these in its turn, on its thread. They must never block. The answer may
/// come at once, later, or from another thread. At most one call is under way for each session. A
/// push whose answer was lost may be repeated.
///
/// If the bridge gives a call up, `wanted()` of its Completion becomes false, and a remote that the
/// bridge runs gets a turn. A dropped Completion means that the call was lost; so does a call that
/// throws.
///
/// The cause of a Failure decides what happens next. `protocol`, `corrupt`, `permanent` and
/// `forbidden` concern that session. All other causes concern the remote, which then counts as
/// away. `retry_after` lengthens the wait.
///
/// Semantics the compiler cannot check:
/// - A fetched scene has exactly the stamp that it was pushed with, or a stamp that the remote gave
///   it. A changed scene has a later stamp than before.
/// - If the remote keeps the later of two scenes by their stamps, no edit is lost to a race.
template <class R>
concept RemoteLike =
    detail::ContentIsRight<R> && detail::HasFetchScene<R> && detail::HasPushScene<R> &&
    detail::CloseIsRight<R> && detail::RemoveRemoteIsRight<R> && detail::IsNoHalfMachine<R>;

namespace explain {

/// Names every requirement of RemoteLike that R lacks.
template <class R>
consteval bool remote_like() {
    static_assert(detail::HasContentType<R>,
                  "RemoteLike: R needs a content_type; see docs/reference/bridges.md");
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
    static_assert(detail::RemoveRemoteIsRight<R>,
                  "RemoteLike: R's remove_scene must be 'void remove_scene(std::string_view "
                  "session, belay::part::SceneRemoval, belay::Completion<belay::Failure>)'");
    static_assert(detail::IsNoHalfMachine<R>,
                  "RemoteLike: R has only a part of attach, deadline and advance; it must have all "
                  "of a MachineLike or none");
    return RemoteLike<R>;
}

}  // namespace explain

}}  // namespace belay
