// SPDX-License-Identifier: MIT
/// \file belay/posix/replica_listener.hpp
/// posix::ReplicaListener: serves the devices of a SyncProcessor over sockets.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint16_t
#include <list>          // std::list
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::move

#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/posix/listener.hpp>
#include <belay/sync/replica_server.hpp>
#include <belay/sync/sync_messages.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

namespace detail {

/// The frames of LengthPrefixed, with a limit of its own for those that are read.
struct QuestionFrames : LengthPrefixed {
    std::size_t question_bytes = 0;

    [[nodiscard]] part::Cut cut(BytesView bytes, part::CutHints hints) const noexcept {
        hints.message_bytes_max = belay::detail::smaller(hints.message_bytes_max, question_bytes);
        return LengthPrefixed::cut(bytes, hints);
    }
};

/// The hook of a ReplicaListener.
struct ReplicaListenerHooks {
    using Rejected = belay::detail::Hook<belay::detail::OnRejected, const belay::detail::NoMachine,
                                         const Failure&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(belay::detail::has_any_hook_of<O, Rejected>,
                      "ReplicaListener: the observer needs 'on_rejected(const belay::Failure&)'");
        return true;
    }
};

}  // namespace detail

/// Options of a ReplicaListener.
struct ReplicaListenerOptions {
    /// The maximum number of connected devices; > 0. A connection above it is rejected.
    std::size_t devices_max = 1000;
    /// The maximum length of a question; > 0. A device with a longer one is disconnected. It bounds
    /// the memory for what a device sends. It must not be below that of the devices.
    std::size_t question_bytes = std::size_t{1} << 20U;
    /// How it detects devices that are silent or gone.
    HeartbeatOptions heartbeat{};
    /// The limits of the answers; `message_bytes_max` is at most that of LengthPrefixed.
    part::ReplicaServerOptions answers{};
    /// Those of the Listener.
    ListenerOptions listener{};
};

/// Serves devices that have a Replica and a part::ReplicaLink.
///
///     SyncProcessor processor{std::ref(store), LastWriteWins{}};
///     posix::ReplicaListener server{loop, processor, NoteCodec{}};
///     if (auto error = server.listen({"0.0.0.0", 9000})) return error;
///     loop.run();
///
/// It answers the questions of each device, and sends the other devices a notice when one of them
/// has changed something. If the connection of a device takes no more output, its newest question
/// and a notice wait until it does. It does not authenticate a device, and each may use each
/// session. A server that must check users has a Listener and a part::ReplicaServer; see
/// docs/how-to/replica-over-a-network.md.
///
/// Two of them over one processor do not notify each other's devices: notify() does.
///
/// An observer, the last argument, has `on_rejected(const Failure&)`. The listener calls it for
/// each connection above devices_max (Cause::overloaded), and for each device that it disconnects
/// because of a question that is malformed, or above question_bytes (Cause::protocol). The hook
/// must not destroy the listener.
///
/// Thread safety: the loop's thread.
/// Throws:        an exception of the processor or of the codec leaves the loop's run(), and the
///                device asks again.
template <class Processor, CodecLike Codec, class TheLoop = Loop<>, class Observer = NoObserver>
class ReplicaListener {
    struct Devices;

public:
    /// Pre: the loop and the processor outlive it; options.heartbeat.check() is empty; devices_max
    ///      and question_bytes are > 0. No hook of the processor's observer destroys it, or the
    ///      processor.
    ReplicaListener(TheLoop& loop, Processor& processor, Codec codec,
                    ReplicaListenerOptions options = {}, Observer observer = {})
        : devices_{loop, processor, std::move(codec), options, std::move(observer)},
          listener_{loop, Accept{&devices_}, Frames{{}, options.question_bytes}, options.listener} {
        static_assert(belay::detail::explain_observer<detail::ReplicaListenerHooks, Observer>());
        BELAY_OPTION(options.heartbeat.check().empty(),
                     "ReplicaListener: 0ns < heartbeat.every < heartbeat.dead_after must "
                     "hold");
        BELAY_OPTION(options.devices_max > 0 && options.question_bytes > 0,
                     "ReplicaListener: devices_max and question_bytes must be greater than "
                     "0, because it would serve no device");
        BELAY_OPTION(options.answers.message_bytes_max <= LengthPrefixed{}.bytes_max,
                     "ReplicaListener: answers.message_bytes_max must be at most that of "
                     "LengthPrefixed, because the devices accept no more");
    }
    ReplicaListener(const ReplicaListener&) = delete;
    ReplicaListener& operator=(const ReplicaListener&) = delete;
    ~ReplicaListener() = default;

    /// Starts to listen at an Endpoint or a UnixPath.   Errors: as Listener::listen.
    template <class Where = Endpoint>
    [[nodiscard]] std::error_code listen(const Where& where) {
        return listener_.listen(where);
    }
    /// Returns the port on which it listens; see Listener::port.
    [[nodiscard]] std::uint16_t port() const noexcept { return listener_.port(); }
    /// Returns the number of connected devices.
    [[nodiscard]] std::size_t devices() const noexcept { return devices_.all.size(); }
    /// Sends each device a notice. Call it after you have changed the store without a device.
    void notify() noexcept { devices_.notify(nullptr); }

private:
    using Frames = detail::QuestionFrames;
    using Transport = Heartbeat<Accepted<Frames>>;

    /// The observer of one connection.
    struct DeviceObserver {
        void on_message(auto& device, Bytes question) {
            waiting = std::move(question);
            if (!is_full) devices->answer(device);
        }
        void on_writable(auto& device, Lane) {
            is_full = false;
            if (owes_notice) send_notice(device);
            if (!is_full && waiting) devices->answer(device);
        }
        void on_state(auto& device, const Transition& change) {
            const bool ended =
                change.from == LinkState::connected || belay::detail::rests(change.to.state);
            if (!ended) return;
            if (change.to.failure.cause == Cause::protocol)
                devices->note_rejected(change.to.failure);
            devices->forget(device);
        }
        void send_notice(auto& device) noexcept {
            owes_notice = is_full || send(device, devices->notice) == SendResult::busy;
        }
        SendResult send(auto& device, const Bytes& message) noexcept {
            const SendResult sent = device.send(message);
            is_full = sent == SendResult::busy;
            return sent;
        }

        Devices* devices;
        /// The last message found no space, and on_writable follows. Nothing is answered until
        /// then, so that a device that does not read costs no more work.
        bool is_full = false;
        bool owes_notice = false;
        std::optional<Bytes> waiting{};  // the newest question, if it has no answer
    };
    using Device = Supervisor<Transport, MaxAttempts, DeviceObserver>;

    struct Devices {
        Devices(TheLoop& of, Processor& processor, Codec codec,
                const ReplicaListenerOptions& chosen, Observer&& notified)
            : loop{of},
              options{chosen},
              server{processor, std::move(codec), chosen.answers},
              observer{std::move(notified)} {}

        void accept(Accepted<Frames> accepted) {
            if (all.size() >= options.devices_max)
                return note_rejected({.cause = Cause::overloaded});
            Device& device = all.emplace_back(Transport{std::move(accepted), options.heartbeat},
                                              MaxAttempts{1}, DeviceObserver{this});
            // A device that no loop runs would never end.
            belay::detail::ScopeExit undo{[this] { all.pop_back(); }};
            loop.attach(device);
            device.start();
            undo.release();
        }
        /// Answers the question that waits. If there is no space, it waits again.
        void answer(Device& device) {
            DeviceObserver& its = device.observer();
            Bytes question = *std::exchange(its.waiting, std::nullopt);
            const auto answer = server.answer(question);
            if (its.send(device, answer.bytes) == SendResult::busy) {
                its.waiting = std::move(question);
            }
            if (answer.changed) notify(&device);
        }
        void notify(const Device* except) noexcept {
            for (Device& one : all) {
                if (&one != except) one.observer().send_notice(one);
            }
        }
        void note_rejected(const Failure& why) {
            belay::detail::notify<detail::ReplicaListenerHooks::Rejected>(
                observer, belay::detail::no_machine, why);
        }
        void forget(const Device& device) {
            all.remove_if([&](const Device& one) { return &one == &device; });
        }

        TheLoop& loop;
        ReplicaListenerOptions options;
        part::ReplicaServer<Processor, Codec> server;
        Observer observer;
        Bytes notice = part::SyncMessages::notice();  // made once, so that notify() throws nothing
        std::list<Device> all{};
    };
    struct Accept {
        Devices* devices;
        void operator()(Accepted<Frames> accepted) const { devices->accept(std::move(accepted)); }
    };

    Devices devices_;
    Listener<Accept, Frames> listener_;
};

}}}  // namespace belay::posix
