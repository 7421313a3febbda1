// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/scene_reconciliation.hpp
/// reconcile_scenes: decides what to do with a session, from the state of its two sides. It makes
/// all decisions of a bridge. SceneMemory: what a bridge remembers of a session between rounds.
#pragma once

#include <array>     // std::array
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint8_t, std::uint64_t
#include <optional>  // std::optional
#include <utility>   // std::exchange

#include <belay/core/order.hpp>
#include <belay/sync/scene.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A scene without its content.
using SceneMark = part::SceneBase;

/// Returns the mark of a deleted scene. Its hash takes part in the comparisons of contents.
[[nodiscard]] constexpr SceneMark tombstone(const Stamp& stamp) noexcept {
    return {stamp, 0xB5AD'4ECE'DA1C'E2A9, true};
}

/// The last four hashes that were added.
class RecentHashes {
public:
    constexpr void add(std::uint64_t hash) noexcept {
        if (!has(hash)) hashes_[count_++ % hashes_.size()] = hash;
    }
    constexpr void clear() noexcept { count_ = 0; }
    [[nodiscard]] constexpr bool any() const noexcept { return count_ != 0; }
    [[nodiscard]] constexpr bool has(std::uint64_t hash) const noexcept {
        for (std::size_t i = 0; i < smaller(count_, hashes_.size()); ++i) {
            if (hashes_[i] == hash) return true;
        }
        return false;
    }
    /// Calls `f` with each number that it decides by, for sim::exhaust.
    template <class F>
    constexpr void each_field(F&& f) const {
        // The oldest one is replaced next, at any place.
        for (std::size_t i = 0; i < hashes_.size(); ++i) {
            f(i < count_ ? hashes_[(count_ - 1 - i) % hashes_.size()] : 0);
        }
    }

private:
    std::array<std::uint64_t, 4> hashes_{};
    std::size_t count_ = 0;
};

/// Returns whether a remote that cuts the wall times of stamps may give both stamps the wall time
/// of `cut`.
///
/// The grain of a remote is not known. It is assumed to be the coarsest of 1 s, 1 ms and 1 us that
/// divides the time of `cut`.
[[nodiscard]] constexpr bool may_be_cut_to(const Stamp& cut, const Stamp& whole) noexcept {
    if (cut.counter != 0) return false;
    const std::int64_t time = cut.wall.time_since_epoch().count();
    std::int64_t grain = 1'000'000'000;
    while (grain > 1 && time % grain != 0) grain /= 1000;
    const std::int64_t exact = whole.wall.time_since_epoch().count();
    return exact - exact % grain == time;
}

/// The state of a session that a bridge keeps between rounds.
///
/// The base is the scene that both sides last had, with the stamp that the remote gave it.
class SceneMemory {
public:
    /// The meaning of a remote scene with other content than the base.
    enum class Shows : std::uint8_t {
        change,  ///< a change of another client
        /// An earlier change of a client that had not seen the base, which was made or pushed here.
        unaware_change,
        /// A later change of a client that had not seen the base, which was made or pushed here.
        overwrote,
        undone,    ///< the remote has again a scene that is known to be older than the base
        undecided  ///< a change, or the remote has rejected or undone the base
    };

    static constexpr std::uint8_t undone_before_wait = 3;

    [[nodiscard]] constexpr const std::optional<SceneMark>& base() const noexcept { return base_; }
    /// Returns whether the base is from an earlier run of the program, and no round of this run has
    /// found both sides equal.
    [[nodiscard]] constexpr bool recovered() const noexcept { return recovered_; }
    /// `saw` and `unaware` are those of the remote scene.
    [[nodiscard]] constexpr Shows shows(const SceneMark& remote,
                                        const std::optional<Stamp>& saw = {},
                                        bool unaware = false) const noexcept {
        if (!base_ || remote.hash == base_->hash) return Shows::change;
        const bool stamped = remote.stamp != Stamp{};
        const bool earlier = stamped && remote.stamp < base_->stamp;
        const bool is_pulled = base_->made_by == Origin::remote;
        if (replaced_ && remote == *replaced_) {
            // A remote that keeps the later scene has rejected an earlier one. If stamps are cut,
            // another client may have undone the change within one grain. A pulled scene has a
            // stamp of the remote, so the stamps decide.
            const bool cut = !is_pulled && may_be_cut_to(remote.stamp, base_->stamp);
            if (earlier && !cut) return Shows::undone;
            if (!is_pulled) return Shows::undecided;
        }
        // One clock never goes back.
        const Id& origin = base_->stamp.origin;
        if (earlier && remote.stamp.origin == origin && origin != Id{}) return Shows::undone;
        // The base has a stamp of the remote only after the remote has returned it.
        const Stamp& known = replaced_ ? replaced_->stamp : base_->stamp;
        if (stamped && remote.stamp < known && before_.has(remote.hash)) return Shows::undone;
        const bool made_here = base_->made_by == Origin::local;  // also in an earlier run
        const bool is_edit = pushed_ == Pushed::edit || made_here;
        // A bridge pushed another scene again over this one.
        const bool over_base =
            unaware && saw && *saw != Stamp{} &&
            (*saw == base_->stamp || (replaced_ && may_be_cut_to(*saw, base_->stamp)));
        if (over_base && is_edit) return Shows::overwrote;
        if ((pushed_ == Pushed::no && !made_here) || origin == Id{}) return Shows::change;
        // A remote that had no scene may have lost one that the author knew. Only the author of an
        // edit from here gets a report for that.
        const bool saw_none = saw && *saw == Stamp{} && is_edit && remote.stamp.origin != origin;
        if (saw && (saw->origin != Id{} || saw_none)) {
            // Each version has a stamp above that of the one which its author saw. So an author
            // who saw an earlier one had not seen the base, nor had the authors before.
            const bool cut = !saw_none && may_be_cut_to(*saw, base_->stamp);
            if (!is_before_push(*saw) && (*saw >= base_->stamp || cut)) return Shows::change;
            if (earlier) return Shows::unaware_change;
            // The author of a scene has seen it, also if the remote had lost it and got it again
            // from here. But of an edit from here, the origin may be that of a remote which stamps
            // all scenes.
            const bool by_author = pushed_ == Pushed::again && remote.stamp.origin == origin;
            return by_author ? Shows::change : Shows::overwrote;
        }
        // By its clock, the other client had not seen the change that was pushed from here. A clock
        // alone does not show that for a base of an earlier run, in which both sides were equal.
        const bool by_clock = pushed_ != Pushed::no && earlier && remote.stamp.origin != Id{};
        return by_clock ? Shows::unaware_change : Shows::change;
    }
    /// The local side stored this base in an earlier run.
    constexpr void recover(const SceneMark& base) noexcept {
        base_ = base;
        recovered_ = stored_ = true;
    }
    /// Returns whether the local side must store the base.
    [[nodiscard]] constexpr bool unstored() const noexcept { return base_ && !stored_; }
    constexpr void set_stored() noexcept { stored_ = true; }
    /// A push begins. The remote has `over`, if it has a scene.
    constexpr void sending_over(const std::optional<SceneMark>& over) noexcept { replaced_ = over; }
    /// The remote has confirmed a push.
    constexpr void pushed(const SceneMark& mark) noexcept {
        // A pulled scene has the stamp of the remote, also in a later run. An edit from here does
        // not if the remote gives its own stamps.
        const bool is_edit =
            !base_ || base_->hash != mark.hash || base_->stamp.origin != mark.stamp.origin;
        rebase(mark, Origin::local);
        recovered_ = false;
        if (pushed_ == Pushed::no) pushed_ = is_edit ? Pushed::edit : Pushed::again;
        sent.clear();
    }
    /// Both sides have this scene.
    constexpr void in_step(const SceneMark& mark) noexcept {
        in_step_without_scene(mark);
        sent.clear();
    }
    /// The remote scene was applied to the local side.
    constexpr void pulled(const SceneMark& mark) noexcept {
        rebase(mark, Origin::remote);
        in_step(mark);
    }
    /// Neither side has a scene, and this is its tombstone. A content that was sent may arrive yet.
    constexpr void in_step_without_scene(const SceneMark& mark) noexcept {
        // An earlier run may have pulled the scene and not stored it as the base, but a lost edit
        // must be reported. Without a base, nothing is known, except of an unconfirmed push.
        const bool is_made_here = base_ || sent.has(mark.hash);
        rebase(mark, is_made_here ? std::optional{Origin::local} : std::nullopt);
        replaced_.reset();
        recovered_ = false;
    }
    /// The remote scene is the base of what will be pushed. It is known to the local side, or was
    /// reported.
    constexpr void rebase(const SceneMark& mark) noexcept {
        rebase(mark, sent.has(mark.hash) ? Origin::local : Origin::remote);
    }
    /// The content was replaced by one of the remote.
    constexpr void replaced_here(std::uint64_t hash) noexcept { before_.add(hash); }
    /// The remote has undone the base.
    /// Returns: how often, if the session must wait before it pushes the base again; else 0.
    [[nodiscard]] constexpr unsigned count_undone() noexcept {
        if (std::exchange(waited_, false)) return 0;
        if (undone_ != undone_most) ++undone_;
        waited_ = undone_ >= undone_before_wait;
        return waited_ ? undone_ : 0;
    }

    /// Calls `f` with each number that it decides by, for sim::exhaust.
    template <class F>
    constexpr void each_field(F&& f) const {
        for (const std::optional<SceneMark>& mark : {base_, replaced_}) {
            f(mark ? mark->stamp.wall.time_since_epoch().count() : -1);
            f(mark ? mark->stamp.counter : 0);
            f(mark ? static_cast<int>(mark->stamp.origin[0]) : 0);
            f(mark ? mark->hash : 0);
            f(mark && mark->removed);
        }
        f(base_ && base_->made_by ? 1 + static_cast<int>(*base_->made_by) : 0);
        before_.each_field(f);
        sent.each_field(f);
        f(open.has_value());
        f(open ? open->local : 0);
        f(open ? open->remote : 0);
        f(undone_);
        f(waited_);
        f(static_cast<int>(pushed_));
        f(recovered_);
        f(stored_);
    }

    /// The scenes of a conflict that is left to the local side. It is reported once.
    struct Open {
        std::uint64_t local = 0;
        std::uint64_t remote = 0;

        /// Returns whether the local scene decides the conflict with this remote one: it was edited
        /// after the report, with both scenes in view. A report of a change without one decides
        /// nothing.
        [[nodiscard]] constexpr bool is_decided(const SceneMark& here,
                                                const SceneMark& there) const noexcept {
            return remote == there.hash && (local != here.hash || here.stamp > there.stamp);
        }

        friend constexpr bool operator==(const Open&, const Open&) noexcept = default;
    };
    std::optional<Open> open{};
    /// Contents that were sent and never confirmed. If the remote accepted one that is no longer
    /// here, the bridge may report a conflict that is none.
    RecentHashes sent{};

private:
    /// Returns whether a version is the one that the push of the base replaced, or an earlier one.
    /// Both stamps are of the remote, whose clock may be ahead of the base's. If it counts seconds,
    /// the push may have got the same one.
    [[nodiscard]] constexpr bool is_before_push(const Stamp& version) const noexcept {
        if (!replaced_ || version > replaced_->stamp) return false;
        if (replaced_->hash == base_->hash) return false;  // by a push that is not confirmed
        const bool whole_second =
            version.counter == 0 && version.wall.time_since_epoch().count() % 1'000'000'000 == 0;
        return version < replaced_->stamp || !whole_second;
    }
    constexpr void rebase(SceneMark mark, std::optional<Origin> made_by) noexcept {
        mark.made_by = base_ && base_->hash == mark.hash ? base_->made_by : made_by;
        if (base_ && base_->hash != mark.hash) {
            before_.add(base_->hash);
            undone_ = 0;
            waited_ = false;
            pushed_ = Pushed::no;
        }
        // The remote has a push that it did not confirm.
        const bool is_push = (!base_ || base_->hash != mark.hash) && sent.has(mark.hash);
        if (is_push) pushed_ = Pushed::edit;
        stored_ = stored_ && base_ == mark;
        base_ = mark;
    }
    /// Whether the base was pushed from here, in this run.
    enum class Pushed : std::uint8_t {
        no,
        again,  ///< with the stamp of the remote, which had lost it
        edit    ///< made here, in this or an earlier run
    };
    static constexpr std::uint8_t undone_most = 20;

    std::optional<SceneMark> base_{};
    /// The remote scene that the last push replaces, until the remote has returned the base.
    std::optional<SceneMark> replaced_{};
    /// Contents that were here before the base.
    RecentHashes before_{};
    std::uint8_t undone_ = 0;
    bool waited_ = false;
    Pushed pushed_ = Pushed::no;
    bool recovered_ = false;
    bool stored_ = false;
};

/// The known state of a session.
struct SceneSides {
    /// The scene that both sides had when they were last in step, with the remote's stamp.
    std::optional<SceneMark> base{};
    /// The local scene.
    std::optional<SceneMark> local{};
    /// The remote scene.
    std::optional<SceneMark> remote{};
    /// Whether the remote's content was sent from here, and not confirmed.
    bool sent = false;
    /// Whether the bridge was notified of a local change since the base.
    bool edited = false;
    /// Whether the base is from an earlier run; see SceneMemory.
    bool recovered = false;
    /// Whether both sides have never had the same scene.
    bool is_new = false;
    SceneMemory::Shows shows = SceneMemory::Shows::change;
    /// The stamp that the author of the local scene saw, if the local side reports it.
    std::optional<Stamp> local_saw{};
    /// The stamp that the author of the remote scene saw, if the remote reports it.
    std::optional<Stamp> remote_saw{};

    /// Returns whether a push replaces a change that was made without the base, which is pushed
    /// again. The author of the base had not seen that change.
    [[nodiscard]] constexpr bool restores_over_change() const noexcept {
        return shows == SceneMemory::Shows::unaware_change && base && local && remote &&
               local->hash == base->hash && !remote->removed;
    }
    /// Returns whether the author of one scene saw the other.
    [[nodiscard]] static constexpr bool has_seen(const std::optional<Stamp>& saw,
                                                 const SceneMark& other) noexcept {
        return saw && *saw != Stamp{} && *saw == other.stamp;
    }
};

/// The decision.
struct SceneDecision {
    enum class Move : std::uint8_t {
        none,   ///< nothing
        apply,  ///< apply the remote scene to the local side
        push,   ///< push the local scene to the remote
        leave   ///< neither: the local side must edit the scene
    };
    Move move = Move::none;
    /// The change that the move discards was never on the other side.
    bool conflict = false;
    /// The remote's scene becomes the new base, once the move is done.
    bool rebase = false;

    friend constexpr bool operator==(const SceneDecision&, const SceneDecision&) noexcept = default;
};

/// Returns whether the stamps of both scenes are of one clock.
[[nodiscard]] constexpr bool of_one_clock(const SceneMark& a, const SceneMark& b) noexcept {
    return a.stamp.origin != Id{} && a.stamp.origin == b.stamp.origin;
}

/// Decides if both sides have changed since the base. The last writer wins.
[[nodiscard]] constexpr SceneDecision reconcile_changes(const SceneSides& sides) noexcept {
    using Move = SceneDecision::Move;
    const SceneMark& local = *sides.local;
    const SceneMark& remote = *sides.remote;
    if (SceneSides::has_seen(sides.local_saw, remote)) return {Move::push, false, true};
    if (SceneSides::has_seen(sides.remote_saw, local)) return {Move::apply, false, true};
    // Equal stamps are those of a remote that cuts them, or returns none. The hash gives the same
    // result to all clients.
    const bool equal = remote.stamp == local.stamp;
    const bool later = equal ? remote.hash > local.hash : remote.stamp > local.stamp;
    if (later) {
        // An earlier run pulled the local scene, and could not store it as the base.
        const bool is_pulled = sides.recovered && !equal && of_one_clock(remote, local);
        if (is_pulled) return {Move::apply, false, true};
        if (sides.recovered) return {Move::leave, true, false};
        return {Move::apply, true, true};
    }
    // A remote may accept late a scene that the clock of the edit had stamped before.
    return {Move::push, equal || !of_one_clock(remote, local), true};
}

/// Decides if no base is known. Only the stamps can be compared. Equal stamps mean the same scene.
[[nodiscard]] constexpr SceneDecision reconcile_without_base(const SceneSides& sides) noexcept {
    using Move = SceneDecision::Move;
    const SceneMark& local = *sides.local;
    const SceneMark& remote = *sides.remote;
    if (remote.stamp == local.stamp) return {};
    if (SceneSides::has_seen(sides.local_saw, remote)) return {Move::push, false, true};
    if (SceneSides::has_seen(sides.remote_saw, local)) return {Move::apply, false, true};
    // Each side has made a scene of its own. One without a stamp is no edit.
    const bool both = sides.is_new && local.stamp != Stamp{} && !of_one_clock(remote, local);
    if (remote.stamp > local.stamp) {
        if (both && !sides.edited) return {Move::leave, true, false};
        return {Move::apply, sides.edited, true};
    }
    // A remote that returns no stamps gives no evidence that its scene is the earlier one.
    return {Move::push, both || remote.stamp == Stamp{}, true};
}

/// Decides what to do with a session.
///
/// A side has changed if its content is not the base's. Stamps decide only which of two changes is
/// kept. So a remote's grain of stamps, or its clock, cannot make two clients undo each other's
/// changes for ever.
///
/// Complexity: O(1).
[[nodiscard]] constexpr SceneDecision reconcile_scenes(const SceneSides& sides) noexcept {
    using Move = SceneDecision::Move;
    using Shows = SceneMemory::Shows;
    const std::optional<SceneMark>& base = sides.base;
    const std::optional<SceneMark>& local = sides.local;
    const std::optional<SceneMark>& remote = sides.remote;
    const Shows shows = sides.shows;
    if (!remote) return {local && !local->removed ? Move::push : Move::none, false, false};
    if (!local) return {remote->removed ? Move::none : Move::apply, false, true};
    if (local->hash == remote->hash) return {Move::none, false, true};
    // The remote scene has not changed there. So the difference is a local edit. The stamp of a
    // remote with its own clock does not matter.
    if (sides.sent || (base && base->hash == remote->hash)) return {Move::push, false, true};
    if (base) {
        const bool unpushed = local->hash != base->hash;
        // As the base, the older scene would turn an unedited scene into an edit.
        if (shows == Shows::undone) return {Move::push, false, unpushed};
        // A change is kept instead of a deletion, because a deletion loses nothing by that.
        const bool revives = local->removed && !remote->removed;
        // The loss of a scene that was pulled, and pushed again because the remote had lost it, is
        // reported to its author. It stays the base, or it would look like an edit from here.
        const bool is_pulled = base->made_by == Origin::remote;
        if (!unpushed && !revives && shows == Shows::unaware_change) {
            // The push overwrites the change, and no other bridge may notice that. So it is a
            // conflict of this side, also if the base was pulled.
            return {Move::push, !remote->removed, !is_pulled};
        }
        const bool overwrote = shows == Shows::overwrote;
        if (!unpushed && overwrote && remote->removed) return {Move::push, false, !is_pulled};
        if (!unpushed) {
            const bool is_loss = overwrote || shows == Shows::undecided;
            return {Move::apply, is_loss && !revives && !is_pulled, true};
        }
        if (local->removed) return {Move::apply, false, true};
        if (remote->removed) return {Move::push, false, true};
        return reconcile_changes(sides);
    }
    return reconcile_without_base(sides);
}

}}}  // namespace belay::detail
