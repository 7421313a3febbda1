// SPDX-License-Identifier: MIT
/// \file belay/sync/scene.hpp
/// Scene: the content of a session, and the stamp of its last change.
/// LocalLike, RemoteLike: the requirements on the two sides of a bridge, a program and a server.
#pragma once

#include <concepts>      // std::same_as, std::copyable
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_void_v
#include <vector>        // std::vector

#include <belay/core/completion.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/result.hpp>
#include <belay/sync/operation_like.hpp>
#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The whole content of a session, and the stamp of its last change.
///
/// The newer of two scenes of a session is the one with the later stamp. Equal stamps mean the same
/// scene. If only a time is known, the stamp is `Stamp{.wall = time}`.
///
/// Thread safety: a plain value.
template <class Content>
struct Scene {
    /// The content: a text, bytes or a document. belay only hashes it.
    Content content;
    /// The stamp of the last change; see HybridClock.
    Stamp stamp{};
    /// Whether the scene was deleted. A remote returns a deleted scene (a tombstone) with any
    /// content; see RemoteLike.
    bool removed = false;
    /// The stamp of the scene that the author of this one saw and replaces; Stamp{} if there was no
    /// scene, and none if it is not known. A Bridge sets it when it pushes. A side may return
    /// scenes without it.
    std::optional<Stamp> saw{};
    /// Whether the author of this scene had not seen the scene `saw`. A Bridge sets it when it
    /// pushes a scene again over a change that was made without it. The bridge of that change then
    /// reports the loss. A side may return scenes without it.
    bool unaware = false;

    /// Calls `f(name, field)` for each field, except the content.
    static constexpr void each_field(auto& self, auto&& f) {
        f("stamp", self.stamp), f("removed?", self.removed), f("saw?", self.saw);
        f("unaware?", self.unaware);
    }
    /// Compares content, stamp and removed. The other two fields are how the scene was made.
    friend constexpr bool operator==(const Scene& a, const Scene& b) {
        return a.content == b.content && a.stamp == b.stamp && a.removed == b.removed;
    }
};

/// The side of a bridge on which a change was made.
enum class Origin : std::uint8_t {
    local,  ///< made by the local side: it must be pushed
    remote  ///< made by the remote side: it was pulled, and is not pushed back
};

namespace part {

/// The scene that both sides of a bridge last had, without its content. A LocalLike stores it for
/// the next run of the program.
///
/// Thread safety: a plain value.
struct SceneBase {
    /// The stamp of the scene at the remote.
    Stamp stamp{};
    /// The hash of the content.
    std::uint64_t hash = 0;
    /// Whether the scene was deleted on both sides.
    bool removed = false;
    /// The side that made the content; none if it is not known. A bridge reports the loss of a
    /// scene only to a program that made it, or may have made it.
    std::optional<Origin> made_by{};

    friend constexpr bool operator==(const SceneBase&, const SceneBase&) noexcept = default;
};

/// The deletion of a scene, which the remote side of a bridge carries out.
///
/// Thread safety: a plain value.
struct SceneRemoval {
    /// The stamp of the tombstone.
    Stamp stamp{};
    /// The stamp of the scene that the author of the deletion saw; see Scene::saw.
    std::optional<Stamp> saw{};

    /// Calls `f(name, field)` for each field.
    static constexpr void each_field(auto& self, auto&& f) {
        f("stamp", self.stamp), f("saw?", self.saw);
    }
    friend constexpr bool operator==(const SceneRemoval&, const SceneRemoval&) noexcept = default;
};

}  // namespace part

/// Returns the name of an origin, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(Origin origin) noexcept {
    return origin == Origin::local ? "local" : origin == Origin::remote ? "remote" : "unknown";
}

namespace detail {

// The requirements that both sides of a bridge have in common.
template <class S>
concept HasContentType = requires { typename S::content_type; };
template <class S>
concept ContentIsRight = HasContentType<S> && std::copyable<typename S::content_type> &&
                         ContentHashable<typename S::content_type>;
template <class S>
using SceneOf = Scene<typename S::content_type>;

template <class L>
concept HasSessions = requires(L& local) {
    { local.sessions() } -> std::same_as<std::vector<std::string>>;
};
template <class L>
concept HasReadScene = HasContentType<L> && requires(L& local, std::string_view session) {
    { local.read(session) } -> std::same_as<Result<std::optional<SceneOf<L>>>>;
};
template <class L>
concept HasApplyScene =
    HasContentType<L> && requires(L& local, std::string_view session, SceneOf<L>&& scene) {
        {
            local.apply(session, static_cast<SceneOf<L>&&>(scene), Origin::remote)
        } -> std::same_as<std::error_code>;
    };

BELAY_DETAIL_MEMBER(remove_scene);
BELAY_DETAIL_MEMBER(stored_base);
BELAY_DETAIL_MEMBER(store_base);

template <class L>
concept RemovesScenes = requires(L& local, std::string_view session) {
    { local.remove_scene(session, Origin::remote) } -> std::same_as<std::error_code>;
};
template <class L>
concept RemoveIsRight = RemovesScenes<L> || !has_remove_scene<L>;

template <class L>
concept RemembersBases = requires(L& local, std::string_view session, const part::SceneBase& base) {
    { local.stored_base(session) } -> std::same_as<Result<std::optional<part::SceneBase>>>;
    { local.store_base(session, base) } -> std::same_as<std::error_code>;
};
// Without this check, a member of such a name with another signature would be ignored without an
// error.
template <class L>
concept BasesAreRight = RemembersBases<L> || (!has_stored_base<L> && !has_store_base<L>);

}  // namespace detail

/// The local side of a bridge: the scenes that a program shows and edits.
///
/// - `content_type`: the content of a scene; copyable. The bridge hashes it to recognise its own
///   content. belay hashes integers, texts and bytes. For other types, declare `content_hash(const
///   content_type&)` in your namespace, which returns a std::uint64_t. Equal contents have equal
///   hashes.
/// - `sessions() -> std::vector<std::string>`: the sessions to be kept equal; their names are
///   opaque.
/// - `read(session) -> Result<std::optional<Scene<content_type>>>`: the scene as it is now; nullopt
///   if there is none, or none any more.
/// - `apply(session, Scene<content_type>, Origin) -> std::error_code`: replaces the scene, stamp
///   included. An error means that the scene is not replaced. The origin is always Origin::remote.
///   It lets code that watches scenes skip these changes: they need not be reported to the bridge.
/// - optional, both: `stored_base(session) -> Result<std::optional<part::SceneBase>>` returns the
///   base that was stored last. `store_base(session, part::SceneBase) -> std::error_code` stores it
///   durably. With them, the next run of the program distinguishes a change of this side from one
///   of the other. Without them, each run compares stamps until both sides are equal once.
///   `stored_base` returns all fields as they were stored, `made_by` included: none stays none.
/// - optional: `remove_scene(session, Origin) -> std::error_code`: deletes the scene, because it
///   was deleted at the remote; with a remote that has `remove_scene`. The local side itself
///   deletes a scene by returning none from `read`, and reports that by `changed`. If the program
///   may end before the deletion is pushed, `sessions` lists the session until it is pushed.
///
/// The bridge calls each of these in its turn, on its thread. It reports their errors and
/// exceptions, and calls again. `session` is valid during the call.
///
/// Semantics the compiler cannot check:
/// - The stamp of an edit is later than the stamp of the scene that it changes.
///   HybridClock::stamp_above makes such stamps.
/// - `read` returns an edit before the bridge is notified of it.
/// - No edit comes between a `read` and an `apply` of one turn.
/// - A stored base is never newer than the scene: store scenes at least as durably as bases. If a
///   scene is lost and its base is not, the bridge takes the older scene for an edit.
/// - Equal contents have equal hashes in all builds of the program that share stored bases.
template <class L>
concept LocalLike =
    detail::ContentIsRight<L> && detail::HasSessions<L> && detail::HasReadScene<L> &&
    detail::HasApplyScene<L> && detail::BasesAreRight<L> && detail::RemoveIsRight<L>;

namespace explain {

/// Names every requirement of LocalLike that L lacks.
template <class L>
consteval bool local_like() {
    static_assert(detail::HasContentType<L>,
                  "LocalLike: L needs a content_type; see docs/reference/bridges.md");
    if constexpr (detail::HasContentType<L>) {
        static_assert(detail::ContentIsRight<L>,
                      "LocalLike: the content_type must be copyable, and needs 'std::uint64_t "
                      "content_hash(const content_type&)' in its namespace");
        static_assert(detail::HasReadScene<L>,
                      "LocalLike: L needs 'belay::Result<std::optional<belay::Scene<content>>> "
                      "read(std::string_view session)'");
        static_assert(detail::HasApplyScene<L>,
                      "LocalLike: L needs 'std::error_code apply(std::string_view session, "
                      "belay::Scene<content>, belay::Origin)'");
    }
    static_assert(detail::HasSessions<L>,
                  "LocalLike: L needs 'std::vector<std::string> sessions()'");
    static_assert(detail::RemoveIsRight<L>,
                  "LocalLike: L's remove_scene must be 'std::error_code "
                  "remove_scene(std::string_view session, belay::Origin)'");
    static_assert(detail::BasesAreRight<L>,
                  "LocalLike: L needs both 'belay::Result<std::optional<belay::part::SceneBase>> "
                  "stored_base(std::string_view session)' and 'std::error_code "
                  "store_base(std::string_view session, belay::part::SceneBase)', or neither");
    return LocalLike<L>;
}

}  // namespace explain

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
