// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/bridge_engine.hpp
/// BridgeEngine: synchronizes sessions in rounds: fetch, decide, apply or push.
#pragma once

#include <exception>     // std::uncaught_exceptions
#include <optional>      // std::optional
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/sync/detail/bridge_call.hpp>
#include <belay/sync/detail/bridge_pending_events.hpp>
#include <belay/sync/detail/bridge_sides.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Runs the rounds of all sessions. A round first fetches the remote scene, unless there are no
/// pulls. It then compares the remote scene with the local one, and applies it, or pushes. A
/// session has one round at a time, with one call at a time.
///
/// The engine calls no hooks. It adds events to its pending_events().
template <class Self, class Local, class Remote, class Policy, class Observer>
class BridgeEngine {
public:
    using Sides = BridgeSides<Local, Remote>;
    using Content = typename Sides::Content;
    using PendingEvents = BridgePendingEvents<Self, Content, Observer>;
    using Calls = BridgeCalls<Content, Policy, PendingEvents>;
    using Call = typename Calls::Call;
    using ReadyQueue = BridgeSession::ReadyQueue;

    BridgeEngine(const Sides& sides, Policy policy, const BridgeOptions& options,
                 const Waker& waker)
        : sides_{sides},
          policy_{std::move(policy)},
          options_{options},
          health_{options.outage_wait},
          calls_{waker} {}

    void start(Instant now) noexcept {
        bits_ = Random{calls_.waker().seed()};
        health_.start(now);
        // A random delay, or all clients of a restarted server would connect at the same moment.
        if (options_.pull.enabled) tick_ = after(now, within_interval());
    }

    /// The local side reported a change.
    void changed(std::string_view name, Instant now) {
        BridgeSession& s = sessions_.at(name);
        s.edited = s.reported = true;
        s.may_fetch_again();
        if ((s.wait && s.due != never) || s.queue == ReadyQueue::edits) return;
        sessions_.set_due(s, smaller(s.due, after(now, options_.push.debounce)));
    }

    [[nodiscard]] Instant deadline() const noexcept {
        const Instant due = smaller(smaller(tick_, sessions_.next_due()), calls_.deadline());
        if (!sessions_.has_ready()) return due;
        if (!health_.away()) return calls_.busy() < options_.calls_max ? always : due;
        return calls_.probing() ? due : smaller(due, health_.retry_at());
    }

    void advance(Instant now) {
        now_ = now;
        calls_.begin_turn();
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            run(calls_[i]);
        }
        if (tick_ <= now_) pull_all();
        while (sessions_.next_due() <= now_) get_ready(sessions_.take_due());
        launch();
    }

    // ---- the end -------------------------------------------------------------------------------

    /// From now on the bridge handles only local edits.
    void wind_down(Instant now) {
        now_ = now;
        stopping_ = true;
        tick_ = never;
        sessions_.for_each([this](BridgeSession& s) {
            sessions_.clear_due(s);
            sessions_.leave(s);
            s.again = s.busy && s.edited;
            if (s.edited && !s.wait && !s.busy) sessions_.ready(s, ReadyQueue::edits);
        });
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            const BridgeSession* const s = calls_[i].session();
            if (s != nullptr && calls_[i].kind() == Call::Kind::fetch && !s->edited)
                drop(calls_[i]);
        }
    }
    /// Whether nothing is left to do, or nothing can be done.
    [[nodiscard]] bool is_wound_down() const noexcept {
        return health_.away() || (calls_.busy() == 0 && !sessions_.has_ready());
    }
    void drop_all() noexcept {
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            if (calls_[i].session() != nullptr) drop(calls_[i]);
        }
    }
    void end(Instant now) {
        drop_all();
        health_.end(now);
        pending_events_.state(health_.view());
    }

    [[nodiscard]] PendingEvents& pending_events() noexcept { return pending_events_; }
    [[nodiscard]] const PendingEvents& pending_events() const noexcept { return pending_events_; }
    [[nodiscard]] Sides& sides() noexcept { return sides_; }
    [[nodiscard]] const Sides& sides() const noexcept { return sides_; }
    [[nodiscard]] const RemoteHealth& health() const noexcept { return health_; }
    /// Returns whether calls were dropped since it was called last.
    [[nodiscard]] bool take_dropped() noexcept { return calls_.take_dropped(); }

private:
    using Move = SceneDecision::Move;
    using Step = BridgeError::Step;
    using Marked = typename Sides::Marked;

    // ---- scheduling -----------------------------------------------------------------------------

    [[nodiscard]] Duration within_interval() noexcept {
        const auto most = static_cast<std::uint64_t>(options_.pull.interval.count()) - 1;
        return Duration{static_cast<std::int64_t>(uniform_upto(bits_, most))};
    }
    void pull_all() {
        if (tick_ <= now_) tick_ = after(tick_, options_.pull.interval);
        if (tick_ <= now_) tick_ = after(now_, options_.pull.interval);
        Result<std::vector<std::string>> names = sides_.sessions();
        if (!names) return pending_events_.error({}, Step::list, Failure::from(names.error()));
        sessions_.for_each([](BridgeSession& s) { s.listed = false; });
        for (const std::string& name : *names) {
            BridgeSession& s = sessions_.at(name);
            s.listed = true;
            s.may_fetch_again();
            // A session that waits after a failure of its own gets ready by itself.
            if (s.busy || (s.wait && s.due != never)) continue;
            s.wanted = true;
            sessions_.ready(s, ReadyQueue::pulls);
        }
        sessions_.forget_unlisted();
    }
    void get_ready(BridgeSession& s) noexcept {
        s.wanted = s.wanted && (s.edited || s.listed);  // or it is gone here
        if (s.busy) return static_cast<void>(s.again = true);
        sessions_.ready(s, s.edited ? ReadyQueue::edits : ReadyQueue::pulls);
    }
    [[nodiscard]] bool may_call() const noexcept {
        if (!calls_.has_left()) return false;
        if (!health_.away()) return calls_.busy() < options_.calls_max;
        return !calls_.probing() && health_.retry_at() <= now_;
    }
    void launch() {
        while (sessions_.has_ready() && may_call()) begin(sessions_.next());
    }

    // ---- a round --------------------------------------------------------------------------------

    /// If an exception leaves a round, such as std::bad_alloc, its session is called again.
    class Round {
    public:
        Round(BridgeEngine& engine, BridgeSession& session) noexcept
            : engine_{engine}, session_{session} {}
        Round(const Round&) = delete;
        Round& operator=(const Round&) = delete;
        ~Round() {
            if (std::uncaught_exceptions() != exceptions_) engine_.call_again(session_);
        }

    private:
        BridgeEngine& engine_;
        BridgeSession& session_;
        const int exceptions_ = std::uncaught_exceptions();
    };
    void call_again(BridgeSession& s) noexcept {
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            if (calls_[i].session() == &s) return give_back(calls_[i]);
        }
        s.busy = s.again = false;
        (options_.pull.enabled ? s.wanted : s.edited) = true;
        if (!stopping_) sessions_.ready(s, ReadyQueue::pulls);
    }

    void begin(BridgeSession& s) {
        const Round round{*this, s};
        s.busy = true;
        s.again = false;
        sessions_.clear_due(s);
        if (!recall(s)) return;
        const std::optional<SceneMark>& base = s.memory.base();
        if (!s.wanted) {
            // The change came from this bridge, or the edit was undone.
            if (!s.edited) return finish(s);
            if (base && !s.memory.sent.any()) {
                const auto local = sides_.read(s.name);
                if (!local) return fail_here(s, Step::read, local.error());
                const auto mark = mark_of_local(s, *local);
                if (!mark || mark->hash == base->hash) {
                    s.edited = s.reported = false;
                    return finish(s);
                }
            }
        }
        call(s, options_.pull.enabled ? Call::Kind::fetch : Call::Kind::push);
    }
    /// Reads the base that the local side has stored, once.
    /// Returns: false if the round has ended.
    [[nodiscard]] bool recall(BridgeSession& s) {
        if (s.recalled) return true;
        auto base = sides_.stored_base(s.name);
        if (!base) {
            fail_here(s, Step::base, base.error());
            return false;
        }
        s.recalled = true;
        if (*base) {
            s.memory.recover(**base);
        } else if (Sides::remembers) {
            s.is_new = true;
        }
        return true;
    }
    /// Returns the mark of the local scene; a tombstone if the local side has deleted it.
    [[nodiscard]] static std::optional<SceneMark> mark_of_local(
        const BridgeSession& s, const std::optional<Marked>& local) noexcept {
        if (local) return local->mark;
        const std::optional<SceneMark>& base = s.memory.base();
        if (!Sides::removes || !base) return std::nullopt;
        return base->removed ? *base : tombstone(next_stamp(base->stamp));
    }
    void finish(BridgeSession& s) {
        if (s.memory.unstored()) {
            const std::error_code error = sides_.store_base(s.name, *s.memory.base());
            if (!error) s.memory.set_stored();
            if (error) pending_events_.error(s.name, Step::base, Failure::from(error));
        }
        s.busy = false;
        s.wait.reset();
        s.failed_alone = 0;
        if (std::exchange(s.again, false) && (s.edited || s.wanted)) get_ready(s);
    }
    /// Ends the round. The next one begins after a wait.
    void hold(BridgeSession& s, const Failure& failure) {
        s.busy = s.again = false;
        if (stopping_) return;
        if (!s.wait) s.wait.emplace(options_.outage_wait);
        Turn turn{now_, bits_};
        sessions_.set_due(s, s.wait->failed(bounded(failure), turn).until);
    }
    /// Returns a failure whose `retry_after` is within its limit.
    [[nodiscard]] Failure bounded(Failure failure) const noexcept {
        failure.retry_after = smaller(failure.retry_after, options_.retry_after_max);
        return failure;
    }
    void fail_here(BridgeSession& s, Step step, const std::error_code& error) {
        const Failure failure = Failure::from(error);
        pending_events_.error(s.name, step, failure);
        // Otherwise the next round would find nothing to do.
        s.wanted = s.wanted || options_.pull.enabled;
        hold(s, failure);
    }

    // ---- a call ---------------------------------------------------------------------------------

    void call(BridgeSession& s, typename Call::Kind kind) {
        Call& call = calls_.begin(s, kind, policy_, pending_events_, bits_);
        call.probe = health_.away();
        run(call);
    }
    /// Drops a call: its answer is not needed.
    void drop(Call& call) noexcept {
        call.session()->busy = false;
        calls_.drop(call);
    }

    void run(Call& call) {
        if (call.session() == nullptr) return;
        const Round round{*this, *call.session()};
        while (call.session() != nullptr) {
            if (!calls_.collect(call, now_)) return;
            const auto failure = call.take_attempt_failure();
            if (failure && !is_of_session(failure->cause)) {
                health_.attempt_failed(*failure, now_);
                pending_events_.state(health_.view());
            }
            if (call.deadline() > now_ || !calls_.has_left()) return;
            switch (call.next(now_)) {
                case RetryStep::wait:
                    // A remote that asks for a long wait, such as ten minutes, does not count as
                    // connected.
                    if (const auto why = call.long_wait(now_, options_.answer_within)) {
                        settle(call, Call::Reply::none(CallErrc::call_failed, *why));
                    }
                    return;
                case RetryStep::call:
                    calls_.count_attempt();
                    call.kind() == Call::Kind::fetch ? ask_fetch(call) : ask_push(call);
                    break;
                case RetryStep::finished:
                    return settle(call, std::move(call.reply()));
            }
        }
    }
    void ask_fetch(Call& call) {
        call.ask(now_, options_.answer_within,
                 [&](Completion<Result<std::optional<Scene<Content>>, Failure>> done) {
                     const typename Sides::Inside inside{sides_};
                     sides_.remote.fetch(call.session()->name, std::move(done));
                 });
    }
    void ask_push(Call& call) {
        BridgeSession& s = *call.session();
        // Each attempt pushes the newest scene.
        auto local = sides_.read(s.name);
        if (!local) {
            calls_.release(call);
            s.edited = true;  // also if an earlier attempt has sent it
            return fail_here(s, Step::read, local.error());
        }
        s.edited = false;
        const auto mark = mark_of_local(s, *local);
        if (!mark) {
            calls_.release(call);
            return finish(s);
        }
        call.pushing = *mark;
        s.memory.sent.add(call.pushing.hash);
        if (mark->removed) return ask_remove(call);
        call.ask(now_, options_.answer_within, [&](Completion<Failure> done) {
            const typename Sides::Inside inside{sides_};
            Scene<Content> scene = (*std::move(*local)).scene;
            if (s.replaces) scene.saw = s.replaces;
            scene.unaware = s.replaces && s.unaware == mark->hash;
            sides_.remote.push(s.name, std::move(scene), std::move(done));
        });
    }

    void ask_remove(Call& call) {
        if constexpr (Sides::removes) {
            call.ask(now_, options_.answer_within, [&](Completion<Failure> done) {
                const typename Sides::Inside inside{sides_};
                const BridgeSession& s = *call.session();
                sides_.remote.remove_scene(
                    s.name, part::SceneRemoval{call.pushing.stamp, s.replaces}, std::move(done));
            });
        }
    }

    /// Drops a call. Its session is called again later.
    void give_back(Call& call) noexcept {
        BridgeSession& s = *call.session();
        (call.kind() == Call::Kind::push ? s.edited : s.wanted) = true;
        s.again = false;
        drop(call);
        if (!stopping_) sessions_.ready(s, ReadyQueue::pulls);
    }
    void settle(Call& call, typename Call::Reply reply) {
        BridgeSession& s = *call.session();
        const typename Call::Kind kind = call.kind();
        const bool probe = call.probe;
        const SceneMark pushed = call.pushing;
        calls_.release(call);
        if (reply.failure) return fail(s, kind, reply, probe);
        remote_answered();
        if (kind == Call::Kind::fetch) return reconcile(s, *std::move(reply.returned));
        s.memory.pushed(pushed);
        s.outrun = 0;
        s.reported = s.edited;  // an edit during the push
        pending_events_.pushed(s.name, pushed.stamp);
        finish(s);
        fetch_pushed(s, pushed);
    }
    /// Fetches a pushed scene, if the remote may have given it another stamp.
    void fetch_pushed(BridgeSession& s, const SceneMark& pushed) {
        if (!options_.pull.enabled || stopping_ || s.stamped != BridgeSession::Stamped::known) {
            return;
        }
        s.stamped = BridgeSession::Stamped::pushed;
        if (sessions_.keeps_stamps) return;
        s.wanted = true;
        if (s.unaware != pushed.hash) return sessions_.ready(s, ReadyQueue::pulls);
        // Another bridge may push its scene again over this one, with the same interval.
        if (!s.busy) sessions_.set_due(s, smaller(s.due, after(now_, within_interval())));
    }
    /// The first fetch after a push returns the stamp that the remote gave the scene.
    void learn_stamps(BridgeSession& s, const SceneMark& remote) noexcept {
        if (s.stamped != BridgeSession::Stamped::pushed) return;
        s.stamped = BridgeSession::Stamped::fetched;
        const std::optional<SceneMark>& base = s.memory.base();
        if (!base || base->hash != remote.hash) return;
        sessions_.keeps_stamps = remote.stamp == base->stamp || remote.stamp == Stamp{};
    }
    void remote_answered() {
        sessions_.count_answer();
        Turn turn{now_, bits_};
        if (health_.answered(turn)) pending_events_.state(health_.view());
    }
    void fail(BridgeSession& s, typename Call::Kind kind, const typename Call::Reply& reply,
              bool probe) {
        const bool push = kind == Call::Kind::push;
        (push ? s.edited : s.wanted) = true;
        const Failure& failure = *reply.failure;
        const Step step = push ? Step::push : Step::fetch;
        if (is_of_session(failure.cause)) {
            if (!reply.rejected) remote_answered();
            if (push && failure.error() == SyncErrc::scene_changed &&
                s.outrun < BridgeSession::outrun_most) {
                // Another client was faster. The next round decides with its scene in view.
                ++s.outrun;
                s.busy = s.again = false;
                s.wanted = options_.pull.enabled;
                return sessions_.ready(s, ReadyQueue::edits);
            }
            pending_events_.error(s.name, step, failure);
            return hold(s, failure);
        }
        if (sessions_.fails_alone(s)) pending_events_.error(s.name, step, failure);
        s.busy = s.again = false;
        if (!health_.away() || probe) {
            Turn turn{now_, bits_};
            health_.failed(bounded(failure), turn);
        }
        // At the end of the pulls, because this session may be what makes the remote fail.
        if (!stopping_) sessions_.ready(s, ReadyQueue::pulls);
    }

    void reconcile(BridgeSession& s, std::optional<Scene<Content>>&& got) {
        s.wanted = false;
        auto remote = Sides::marked(std::move(got));
        if (!remote) return fail_here(s, Step::fetch, remote.error());
        if (!Sides::removes && *remote && (*remote)->mark.removed) {
            return fail_here(s, Step::fetch, std::make_error_code(std::errc::not_supported));
        }
        SceneMemory& memory = s.memory;
        if (*remote) learn_stamps(s, (*remote)->mark);
        if (*remote && memory.base() && !memory.recovered() && !s.edited &&
            (*remote)->mark.hash == memory.base()->hash) {
            memory.in_step((*remote)->mark);
            return finish(s);
        }
        auto local = sides_.read(s.name);
        if (!local) return fail_here(s, Step::read, local.error());
        const auto here = mark_of_local(s, *local);
        if (*remote && s.reported && here && memory.open &&
            memory.open->is_decided(*here, (*remote)->mark)) {
            memory.rebase((*remote)->mark);
            memory.open.reset();
        }
        SceneSides sides{.base = memory.base(),
                         .edited = s.reported,
                         .recovered = memory.recovered(),
                         .is_new = s.is_new && !memory.base()};
        sides.local = here;
        if (*remote) {
            sides.remote = (*remote)->mark;
            sides.sent = memory.sent.has((*remote)->mark.hash);
            const Scene<Content>& scene = (*remote)->scene;
            if (!scene.unaware) sides.remote_saw = scene.saw;
            sides.shows = memory.shows((*remote)->mark, scene.saw, scene.unaware);
        }
        if (*local) sides.local_saw = (*local)->scene.saw;
        report_missing_base(s, sides);
        carry_out(s, sides, std::move(*local), std::move(*remote));
    }
    void report_missing_base(const BridgeSession& s, const SceneSides& sides) {
        if (missing_base_reported_ || sides.base || !sides.local || !sides.remote) return;
        if (sides.local->hash == sides.remote->hash) return;
        missing_base_reported_ = true;
        pending_events_.error(s.name, Step::base, Failure{});
    }
    void carry_out(BridgeSession& s, const SceneSides& sides, std::optional<Marked>&& local,
                   std::optional<Marked>&& remote) {
        const SceneDecision decision = reconcile_scenes(sides);
        if (decision.move == Move::apply) {
            if (!apply(s, decision.conflict, std::move(local), std::move(*remote))) return;
            if (sides.local) s.memory.replaced_here(sides.local->hash);
            s.memory.pulled(*sides.remote);
            return finish(s);
        }
        if (decision.move == Move::leave) return leave(s, std::move(*local), std::move(*remote));
        const bool is_push = decision.move == Move::push;
        if (decision.rebase && is_push) s.memory.rebase(*sides.remote);
        if (is_push && options_.push.enabled) {
            if (sides.shows == SceneMemory::Shows::undone && wait_after_undone(s)) return;
            if (decision.conflict) {
                report_conflict(s, std::move(local), std::move(remote), Origin::local);
            }
            s.memory.sending_over(sides.remote);
            const Stamp over = sides.remote ? sides.remote->stamp : Stamp{};
            if (s.replaces != over) s.unaware.reset();  // another push
            if (sides.restores_over_change()) s.unaware = sides.local->hash;
            s.replaces = over;
            // A remote that returns no stamps cannot compare them.
            if (sides.remote && s.replaces == Stamp{}) s.replaces.reset();
            return call(s, Call::Kind::push);
        }
        s.edited = s.reported = false;
        // Neither side has the scene, so the deletion is known. A former base would hide it if the
        // remote gets that scene again.
        const bool both_lack = !sides.remote && sides.local && sides.local->removed;
        if (both_lack) s.memory.in_step_without_scene(*sides.local);
        if (decision.rebase) s.memory.in_step(*sides.remote);
        finish(s);
    }
    /// Reports a conflict, and overwrites neither side.
    void leave(BridgeSession& s, Marked&& local, Marked&& remote) {
        const SceneMemory::Open open{local.mark.hash, remote.mark.hash};
        s.edited = s.reported = false;
        if (s.memory.open != open) {
            s.memory.open = open;
            report_conflict(s, std::move(local), std::move(remote), Origin::local, true);
        }
        finish(s);
    }
    /// Another push would be undone again.   Returns: whether the round has ended.
    [[nodiscard]] bool wait_after_undone(BridgeSession& s) {
        const unsigned times = s.memory.count_undone();
        if (times == 0) return false;
        Failure failure{.cause = Cause::permanent};
        const unsigned doubled = times - SceneMemory::undone_before_wait;
        failure.retry_after =
            part::saturating_multiply(options_.pull.interval, std::uint64_t{1} << doubled);
        pending_events_.error(s.name, Step::undone, bounded(failure));
        s.wanted = true;
        hold(s, failure);
        return true;
    }
    [[nodiscard]] bool apply(BridgeSession& s, bool conflict, std::optional<Marked>&& local,
                             Marked&& remote) {
        std::optional<Marked> reported;
        if constexpr (PendingEvents::has_conflict_hook) {
            if (conflict) reported.emplace(remote);
        }
        // Before the call, because a merged edit may be made during the call.
        const bool was_edited = std::exchange(s.edited, false);
        sessions_.clear_due(s);
        // The next edit here is one of the scene itself, not of what its author saw.
        remote.scene.saw.reset();
        remote.scene.unaware = false;
        if (const std::error_code error = sides_.apply(s.name, std::move(remote.scene))) {
            s.edited = s.edited || was_edited;
            fail_here(s, Step::apply, error);
            return false;
        }
        s.reported = s.edited;
        if (conflict) report_conflict(s, std::move(local), std::move(reported), Origin::remote);
        return true;
    }
    void report_conflict(BridgeSession& s, std::optional<Marked>&& local,
                         std::optional<Marked>&& remote, Origin kept, bool open = false) {
        if constexpr (PendingEvents::has_conflict_hook) {
            pending_events_.conflict(s.name, std::move(local->scene), std::move(remote->scene),
                                     kept, open);
        }
    }

    Sides sides_;
    Policy policy_;
    const BridgeOptions options_;
    Random bits_{};
    PendingEvents pending_events_;
    RemoteHealth health_;
    BridgeSessions sessions_;
    Instant now_ = always;
    Instant tick_ = never;
    bool stopping_ = false;
    bool missing_base_reported_ = false;
    Calls calls_;  // last: they refer to all above
};

}}}  // namespace belay::detail
