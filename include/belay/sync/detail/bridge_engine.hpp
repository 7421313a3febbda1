// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/bridge_engine.hpp
/// BridgeEngine: synchronizes sessions in rounds: fetch, decide, apply or push.
#pragma once

#include <memory>   // std::unique_ptr
#include <utility>  // std::move
#include <vector>   // std::vector

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
    using Call = BridgeCall<Content, Policy, PendingEvents>;
    using Line = BridgeSession::Line;

    BridgeEngine(const Sides& sides, Policy policy, const BridgeOptions& options,
                 const Waker& waker)
        : sides_{sides},
          policy_{std::move(policy)},
          options_{options},
          waker_{waker},
          health_{options.outage_wait} {}

    void start(Instant now) noexcept {
        bits_ = Random{waker_.seed()};
        health_.start(now);
        // A random delay, or all clients of a restarted server would connect at the same moment.
        const auto most = static_cast<std::uint64_t>(options_.pull.interval.count()) - 1;
        if (options_.pull.enabled) {
            tick_ = after(now, Duration{static_cast<std::int64_t>(uniform_upto(bits_, most))});
        }
    }

    /// The local side reported a change.
    void changed(std::string_view name, Instant now) {
        BridgeSession& s = sessions_.at(name);
        s.edited = s.reported = true;
        if (s.due != never || s.line == Line::edits) return;
        sessions_.set_due(s, after(now, options_.push.debounce));
    }

    [[nodiscard]] Instant deadline() const noexcept {
        Instant due = smaller(tick_, sessions_.next_due());
        for (const auto& call : calls_) {
            if (call->session() != nullptr) due = smaller(due, call->deadline());
        }
        if (!sessions_.has_ready()) return due;
        if (!health_.away()) return busy_ < options_.calls_max ? always : due;
        return probing() ? due : smaller(due, health_.retry_at());
    }

    void advance(Instant now) {
        now_ = now;
        left_ = calls_per_turn;
        for (std::size_t i = 0; i < calls_.size(); ++i) run(*calls_[i]);
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
            if (s.edited && !s.wait && !s.busy) sessions_.ready(s, Line::edits);
        });
        for (const auto& call : calls_) {
            const BridgeSession* const s = call->session();
            if (s != nullptr && call->kind() == Call::Kind::fetch && !s->edited) drop(*call);
        }
    }
    /// Whether nothing is left to do, or nothing can be done.
    [[nodiscard]] bool is_wound_down() const noexcept {
        return health_.away() || (busy_ == 0 && !sessions_.has_ready());
    }
    void drop_all() noexcept {
        for (const auto& call : calls_) {
            if (call->session() != nullptr) drop(*call);
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
    [[nodiscard]] bool take_dropped() noexcept { return std::exchange(dropped_, false); }

private:
    using Move = SceneDecision::Move;
    using Step = BridgeError::Step;
    using Marked = typename Sides::Marked;

    // An answer may arrive at once, so a turn has a limit of calls.
    static constexpr unsigned calls_per_turn = 4096;

    // ---- scheduling -----------------------------------------------------------------------------

    void pull_all() {
        tick_ = after(tick_, options_.pull.interval);
        if (tick_ <= now_) tick_ = after(now_, options_.pull.interval);
        Result<std::vector<std::string>> names = sides_.sessions();
        if (!names) return pending_events_.error({}, Step::list, Failure::from(names.error()));
        sessions_.for_each([](BridgeSession& s) { s.listed = false; });
        for (const std::string& name : *names) {
            BridgeSession& s = sessions_.at(name);
            s.listed = true;
            // A session that waits after a failure of its own gets ready by itself.
            if (s.busy || (s.wait && s.due != never)) continue;
            s.wanted = true;
            sessions_.ready(s, Line::pulls);
        }
        sessions_.forget_unlisted();
    }
    void get_ready(BridgeSession& s) noexcept {
        s.wanted = s.wanted && (s.edited || s.listed);  // or it is gone here
        if (s.busy) return static_cast<void>(s.again = true);
        sessions_.ready(s, s.edited ? Line::edits : Line::pulls);
    }
    [[nodiscard]] bool probing() const noexcept {
        for (const auto& call : calls_) {
            if (call->session() != nullptr && call->probe) return true;
        }
        return false;
    }
    [[nodiscard]] bool may_call() const noexcept {
        if (left_ == 0) return false;
        if (!health_.away()) return busy_ < options_.calls_max;
        return !probing() && health_.retry_at() <= now_;
    }
    void launch() {
        while (sessions_.has_ready() && may_call()) begin(sessions_.next());
    }

    // ---- a round --------------------------------------------------------------------------------

    void begin(BridgeSession& s) {
        s.busy = true;
        s.again = false;
        sessions_.clear_due(s);
        if (!s.wanted) {
            // The change came from this bridge, or the edit was undone.
            if (!s.edited) return finish(s);
            if (s.base && !s.sent.any()) {
                const auto local = sides_.read(s.name);
                if (!local) return fail_here(s, Step::read, local.error());
                if (!*local || (*local)->mark.hash == s.base->hash) {
                    s.edited = s.reported = false;
                    return finish(s);
                }
            }
        }
        call(s, options_.pull.enabled ? Call::Kind::fetch : Call::Kind::push);
    }
    void finish(BridgeSession& s) {
        s.busy = false;
        s.wait.reset();
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
        Call& call = free_call();
        call.begin(s, kind, policy_, pending_events_);
        ++busy_;
        call.probe = health_.away();
        run(call);
    }
    [[nodiscard]] Call& free_call() {
        for (const auto& call : calls_) {
            if (call->session() == nullptr) return *call;
        }
        calls_.push_back(std::make_unique<Call>(waker_, Random{Seed{bits_()}}));
        return *calls_.back();
    }
    void release(Call& call) noexcept {
        call.end();
        --busy_;
    }
    /// Drops a call: its answer is not needed.
    void drop(Call& call) noexcept {
        call.session()->busy = false;
        release(call);
        dropped_ = true;
    }

    void run(Call& call) {
        while (call.session() != nullptr) {
            if (!call.collect(now_, dropped_)) return;
            const auto failure = call.take_attempt_failure();
            if (failure && !is_of_session(failure->cause)) {
                health_.attempt_failed(*failure, now_);
                pending_events_.state(health_.view());
            }
            if (call.deadline() > now_ || left_ == 0) return;
            switch (call.next(now_)) {
                case RetryStep::wait:
                    // A remote that asks for a long wait, such as ten minutes, does not count as
                    // connected.
                    if (const auto why = call.long_wait(now_, options_.answer_within)) {
                        settle(call, Call::Reply::none(CallErrc::call_failed, *why));
                    }
                    return;
                case RetryStep::call:
                    --left_;
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
            release(call);
            s.edited = true;  // also if an earlier attempt has sent it
            return fail_here(s, Step::read, local.error());
        }
        s.edited = false;
        if (!*local) {
            release(call);
            return finish(s);
        }
        call.pushing = (*local)->mark;
        s.sent.add(call.pushing.hash);
        call.ask(now_, options_.answer_within, [&](Completion<Failure> done) {
            const typename Sides::Inside inside{sides_};
            sides_.remote.push(s.name, (*std::move(*local)).scene, std::move(done));
        });
    }

    void settle(Call& call, typename Call::Reply reply) {
        BridgeSession& s = *call.session();
        const typename Call::Kind kind = call.kind();
        const bool probe = call.probe;
        const SceneMark pushed = call.pushing;
        release(call);
        if (reply.failure) return fail(s, kind, reply, probe);
        remote_answered();
        if (kind == Call::Kind::fetch) return reconcile(s, *std::move(reply.returned));
        s.base = pushed;
        s.sent.clear();
        s.reported = s.edited;  // an edit during the push
        pending_events_.pushed(s.name, pushed.stamp);
        finish(s);
    }
    void remote_answered() {
        Turn turn{now_, bits_};
        if (health_.answered(turn)) pending_events_.state(health_.view());
    }
    void fail(BridgeSession& s, typename Call::Kind kind, const typename Call::Reply& reply,
              bool probe) {
        const bool push = kind == Call::Kind::push;
        (push ? s.edited : s.wanted) = true;
        const Failure& failure = *reply.failure;
        if (is_of_session(failure.cause)) {
            if (!reply.refused) remote_answered();
            pending_events_.error(s.name, push ? Step::push : Step::fetch, failure);
            return hold(s, failure);
        }
        s.busy = s.again = false;
        if (!health_.away() || probe) {
            Turn turn{now_, bits_};
            health_.failed(bounded(failure), turn);
        }
        // At the end of the pulls, because this session may be what makes the remote fail.
        if (!stopping_) sessions_.ready(s, Line::pulls);
    }

    void reconcile(BridgeSession& s, std::optional<Scene<Content>>&& got) {
        s.wanted = false;
        auto remote = Sides::marked(std::move(got));
        if (!remote) return fail_here(s, Step::fetch, remote.error());
        if (*remote && s.base && !s.edited && (*remote)->mark.hash == s.base->hash) {
            s.base = (*remote)->mark;
            return finish(s);
        }
        auto local = sides_.read(s.name);
        if (!local) return fail_here(s, Step::read, local.error());
        SceneSides sides{.base = s.base, .edited = s.reported};
        if (*local) sides.local = (*local)->mark;
        if (*remote) {
            sides.remote = (*remote)->mark;
            sides.sent = s.sent.has((*remote)->mark.hash);
        }
        carry_out(s, reconcile_scenes(sides), std::move(*local), std::move(*remote));
    }
    void carry_out(BridgeSession& s, const SceneDecision& decision, std::optional<Marked>&& local,
                   std::optional<Marked>&& remote) {
        const auto rebase = [&, mark = remote ? remote->mark : SceneMark{}] {
            if (decision.rebase) s.base = mark;
        };
        if (decision.move == Move::apply) {
            if (!apply(s, decision.conflict, std::move(local), std::move(*remote))) return;
            rebase();
            s.sent.clear();
            return finish(s);
        }
        rebase();
        if (decision.move == Move::push && options_.push.enabled) {
            if (decision.conflict)
                report_conflict(s, std::move(local), std::move(remote), Origin::local);
            return call(s, Call::Kind::push);
        }
        s.edited = s.reported = false;
        if (decision.rebase) s.sent.clear();
        finish(s);
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
                         std::optional<Marked>&& remote, Origin kept) {
        if constexpr (PendingEvents::has_conflict_hook) {
            pending_events_.conflict(s.name, std::move(local->scene), std::move(remote->scene),
                                     kept);
        }
    }

    Sides sides_;
    Policy policy_;
    const BridgeOptions options_;
    const Waker& waker_;
    Random bits_{};
    PendingEvents pending_events_;
    RemoteHealth health_;
    BridgeSessions sessions_;
    Instant now_ = always;
    Instant tick_ = never;
    unsigned left_ = 0;
    bool stopping_ = false;
    bool dropped_ = false;
    std::size_t busy_ = 0;
    std::vector<std::unique_ptr<Call>> calls_;  // last: they refer to all above
};

}}}  // namespace belay::detail
