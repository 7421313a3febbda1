// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/process.hpp
/// LibcProcess: a program of a simulated host, with its descriptors and its waits.
#pragma once

#include <fcntl.h>      // O_RDWR
#include <sys/epoll.h>  // EPOLLIN, EPOLLOUT
#include <sys/stat.h>   // mode_t, S_IFSOCK
#include <sys/uio.h>    // iovec

#include <algorithm>    // std::max
#include <cerrno>       // errno
#include <csignal>      // sigaction
#include <cstdint>      // std::uint32_t
#include <exception>    // std::exception_ptr
#include <map>          // std::map
#include <memory>       // std::shared_ptr
#include <mutex>        // std::mutex
#include <optional>     // std::optional
#include <span>         // std::span
#include <stdexcept>    // std::logic_error
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange, std::pair
#include <vector>       // std::vector

#include <belay/core/random.hpp>
#include <belay/libc_sim/detail/fiber.hpp>
#include <belay/libc_sim/detail/image.hpp>
#include <belay/libc_sim/detail/state.hpp>
#include <belay/sim/host.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

class LibcProcess;

/// Sets errno, and returns the result of a call that fails.
inline int libc_fail(int error) noexcept {
    errno = error;
    return -1;
}

/// The object to which a file descriptor of a simulated program refers.
class LibcFile {
public:
    LibcFile() = default;
    LibcFile(const LibcFile&) = delete;
    LibcFile& operator=(const LibcFile&) = delete;
    virtual ~LibcFile() = default;

    /// Returns the flags of epoll that hold now.
    [[nodiscard]] virtual std::uint32_t ready() = 0;
    /// Reads or writes without waiting, like readv() and writev(): -1 with EAGAIN if that would
    /// block.
    [[nodiscard]] virtual ssize_t read(std::span<const iovec>) { return libc_fail(EINVAL); }
    [[nodiscard]] virtual ssize_t write(std::span<const iovec>) { return libc_fail(EINVAL); }
    /// One of its descriptors, of which dup() makes several, is closed.
    virtual void on_close() noexcept {}
    /// Ends it with its program. The stack of an abandoned program may refer to it for ever, so its
    /// destructor may never run.
    virtual void end() noexcept {}
    /// Returns its type and mode, as fstat() does, unless it is on a disk.
    [[nodiscard]] virtual mode_t kind() const noexcept { return S_IFSOCK | 0600; }
    /// Whether a watch of epoll may wait for it.
    [[nodiscard]] virtual bool is_watchable() const noexcept { return true; }

    void set_nonblocking(bool on) noexcept { nonblocking_ = on; }
    [[nodiscard]] bool nonblocking() const noexcept { return nonblocking_; }
    /// Returns O_RDONLY, O_WRONLY or O_RDWR, and O_APPEND, as F_GETFL does.
    [[nodiscard]] virtual int mode() const noexcept { return O_RDWR; }
    /// Sets or ends O_APPEND.   Returns: false if the file does not have it.
    [[nodiscard]] virtual bool set_append(bool on) noexcept { return !on; }
    /// Counts the changes, for watches that are notified once of each.
    [[nodiscard]] virtual std::uint64_t changes() const noexcept { return changes_; }

protected:
    void count_change() noexcept { ++changes_; }
    /// Counts a change, and notifies the program.
    void changed(LibcProcess& process);

private:
    std::uint64_t changes_ = 0;
    bool nonblocking_ = false;
};

/// The action of a program for SIGPIPE, and its mask of signals. As after exec(), a program ignores
/// the signal from the start if the test does.
class LibcPipeAction {
public:
    LibcPipeAction() noexcept {
        sigemptyset(&mask_);
        struct sigaction of_test {};
        static_cast<void>(sigaction(SIGPIPE, nullptr, &of_test));
        if (of_test.sa_handler == SIG_IGN) action_.sa_handler = SIG_IGN;
    }
    /// Sets the action. SIG_IGN discards a signal that waits.   Returns: the action before.
    struct sigaction set(const struct sigaction& action) noexcept {
        if (action.sa_handler == SIG_IGN) pending_ = false;
        return std::exchange(action_, action);
    }
    [[nodiscard]] const struct sigaction& get() const noexcept { return action_; }
    /// Does what Linux does after a write to a connection whose other end is closed.
    void raise(LibcProcess& process) {
        pending_ = true;
        deliver(process);
    }
    [[nodiscard]] const sigset_t& mask() const noexcept { return mask_; }
    [[nodiscard]] bool blocked() const noexcept { return sigismember(&mask_, SIGPIPE) == 1; }
    /// Sets the mask, and then delivers a signal that was blocked.
    void set_mask(LibcProcess& process, const sigset_t& mask) {
        mask_ = mask;
        deliver(process);
    }
    /// Lets a signal that waits through for a wait with a mask of its own, as ppoll() does.
    /// Returns: whether it has interrupted the wait; a handler was called then.
    [[nodiscard]] bool interrupts(LibcProcess& process, const sigset_t& mask_of_wait) {
        const bool handles = pending_ && action_.sa_handler != SIG_IGN;
        const sigset_t before = std::exchange(mask_, mask_of_wait);
        const bool was_let_through = !blocked();
        deliver(process);
        mask_ = before;
        return handles && was_let_through;
    }
    /// Returns whether a signal waits, which is blocked.
    [[nodiscard]] bool pending() const noexcept { return pending_; }
    void forget_pending() noexcept { pending_ = false; }

private:
    void deliver(LibcProcess& process) {
        while (!blocked() && std::exchange(pending_, false)) act(process);
    }
    void act(LibcProcess& process);

    struct sigaction action_ {};
    sigset_t mask_{};
    bool pending_ = false;
};

/// The programs of the process, and their world. Threads may make worlds at the same time.
struct LibcCensus {
    std::mutex mutex;
    const void* world = nullptr;
    int programs = 0;
    std::uint64_t last_number = 0;
};

/// A program of a simulated host. Its calls of the C library end here.
///
/// Thread safety: the world's thread.
class LibcProcess {
public:
    LibcProcess(sim::Host& host, Function<int()> main)
        : host_{host},
          bits_{Seed{host.choose("libc_sim", ~std::uint64_t{0}) + 1}},
          state_{host.choose("process", ~std::uint64_t{0})},
          fiber_{[this, program = std::move(main)]() mutable { run(program); }} {
        const void* const world = &sim::detail::Kernel::fabric(host);
        BELAY_PRECONDITION(joins(world),
                           "sim::Program: the programs of a process must be of one world at a "
                           "time; destroy the other world before");
        sleep_.woken = host_.after(Duration::zero(), [this] { resume(); });
        sim::detail::Kernel::station(host).on_interrupt = [this] {
            if (is_interruptible_) was_interrupted_ = true, wake();
        };
    }
    LibcProcess(const LibcProcess&) = delete;
    LibcProcess& operator=(const LibcProcess&) = delete;
    ~LibcProcess() {
        sim::detail::Kernel::station(host_).on_interrupt = {};
        sleep_.woken.cancel();
        sleep_.over.cancel();
        sleep_.waits = false;
        end_files();
        leave();
    }

    /// Returns the program whose code runs; null outside of programs.
    [[nodiscard]] static LibcProcess* current() noexcept { return running_; }

    /// Waits until `ready()` or a deadline.   Returns: whether it is ready.
    template <class F>
    [[nodiscard]] bool wait(Instant deadline, F&& ready) {
        while (!ready()) {
            if (host_.now() >= deadline) return spin(), false;
            sleep(deadline);
        }
        return true;
    }
    /// Waits in a call that a signal interrupts.   Returns: whether it is ready; if not, errno is
    /// EINTR, or EAGAIN at the deadline.
    template <class F>
    [[nodiscard]] bool wait_or_fail(Instant deadline, F&& ready) {
        bool is_ready = false;
        is_interruptible_ = true;
        const bool ends = wait(deadline, [&] { return (is_ready = ready()) || was_interrupted_; });
        is_interruptible_ = false;
        const bool fails = std::exchange(was_interrupted_, false) && !is_ready;
        if (ends && !fails) return true;
        errno = fails ? EINTR : EAGAIN;
        return false;
    }
    /// Lets time pass, in a call that no signal interrupts.
    void pass(Duration time) {
        static_cast<void>(wait(after(host_.now(), time), [] { return false; }));
    }
    /// Notifies the program that a wait may be over.
    void wake() {
        if (!sleep_.waits || sleep_.woken.waits()) return;
        sleep_.woken = host_.after(Duration::zero(), [this] { resume(); });
    }
    /// Lets the other programs of this instant run.
    void yield() {
        spin();
        sleep(host_.now());
    }
    /// Counts a call that takes no time. A program that only makes such calls would never end.
    void spin() {
        if (calls_.at != host_.now()) calls_ = {host_.now(), 0};
        if (++calls_.count >= calls_max) {
            refuse("has made " + std::to_string(calls_max) +
                   " calls at one instant; time passes only while it waits");
        }
    }
    /// Notes which function of the C library the program calls.
    void calls(const char* function) noexcept { function_ = function; }
    /// Rejects this call.
    [[noreturn]] void refuse_call(const std::string& of, const char* why = "") {
        std::string_view name = function_;  // the C library has other ones for some
        for (const std::string_view before : {"__cxa_", "__"}) {
            if (name.starts_with(before)) name.remove_prefix(before.size());
        }
        if (name.ends_with("_chk")) name.remove_suffix(4);
        refuse("called \"" + std::string{name} + '"' + of + ", which a world does not have" + why);
    }
    /// Ends the program, and the run of the world, with a sentence.
    [[noreturn]] void refuse(const std::string& why) {
        error_ = std::make_exception_ptr(
            std::logic_error{"sim::Program on \"" + std::string{host_.name()} + "\" " + why});
        abandon();
    }
    [[nodiscard]] LibcPipeAction& pipe_action() noexcept { return pipe_action_; }
    [[noreturn]] void exit(int code) {
        exit_code_ = code;
        abandon();
    }
    /// Calls `f(argument)` at the end by exit(), or by the end of main.
    void at_exit(void (*f)(void*), void* argument) { at_exit_.emplace_back(f, argument); }
    /// Calls these functions, the last one first.
    void call_exit_functions() {
        while (!at_exit_.empty()) {
            const auto [f, argument] = at_exit_.back();
            at_exit_.pop_back();
            f(argument);
        }
    }
    /// Loads the code of this program. It stays until the program is destroyed, and for ever after
    /// an exception, which may be of a type of this code.
    const LibcImage& load(std::shared_ptr<LibcImage> image) {
        image_ = std::move(image);
        image_->load();
        return *image_;
    }
    /// Returns whether static variables of this program are there.
    [[nodiscard]] bool has_static(const void* address) const noexcept {
        return image_ && image_->has(address);
    }

    /// Gives a file the lowest number that is free, not below `lowest`.
    /// Returns: the number, or -1 with EMFILE.
    int open(std::shared_ptr<LibcFile> file, int lowest = 0) {
        const int number = free_number(lowest);
        if (number < 0 || sim::detail::Kernel::lacks_descriptors(host_)) return libc_fail(EMFILE);
        files_.emplace(number, std::move(file));
        return number;
    }
    /// Returns the file of a number; null if there is none.
    [[nodiscard]] std::shared_ptr<LibcFile> file(int number) {
        spin();
        const auto found = files_.find(number);
        return found == files_.end() ? nullptr : found->second;
    }
    int close(int number) {
        const auto node = files_.extract(number);
        if (!node) return libc_fail(EBADF);
        node.mapped()->on_close();
        return 0;
    }
    /// Gives a file this number, and closes the one that had it.
    int replace(int number, std::shared_ptr<LibcFile> file) {
        static_cast<void>(close(number));
        return files_[number] = std::move(file), number;
    }
    [[nodiscard]] const std::map<int, std::shared_ptr<LibcFile>>& files() const noexcept {
        return files_;
    }
    /// Keeps an object without a number until the program ends.
    void keep(std::shared_ptr<LibcFile> file) { kept_.push_back(std::move(file)); }

    [[nodiscard]] sim::Host& host() noexcept { return host_; }
    [[nodiscard]] Random& bits() noexcept { return bits_; }
    [[nodiscard]] LibcState& state() noexcept { return state_; }
    /// Returns the number of this program among all of the process.
    [[nodiscard]] std::uint64_t number() const noexcept { return number_; }
    [[nodiscard]] std::optional<int> exit_code() const noexcept { return exit_code_; }

private:
    static constexpr std::uint64_t calls_max = 10'000'000;

    /// The calls of an instant.
    struct Calls {
        Instant at = always;
        std::uint64_t count = 0;
    };
    /// How a wait ends.
    struct Sleep {
        Timer woken;
        Timer over;
        bool waits = false;
    };

    static inline constinit LibcCensus census_{};

    /// Counts a program.   Returns: false if there are programs of another world.
    [[nodiscard]] bool joins(const void* world) {
        const std::lock_guard lock{census_.mutex};
        if (census_.programs != 0 && census_.world != world) return false;
        census_.world = world;
        ++census_.programs;
        number_ = ++census_.last_number;
        return true;
    }
    static void leave() noexcept {
        const std::lock_guard lock{census_.mutex};
        --census_.programs;
    }
    /// Returns the lowest number that is free; -1 if there is none. After the standard streams,
    /// numbers start at 512. Those of the test's own descriptors are lower, so that a function that
    /// is not replaced fails with EBADF. FD_SETSIZE limits them.
    [[nodiscard]] int free_number(int lowest) const noexcept {
        int number = lowest > 2 ? std::max(lowest, 512) : lowest;
        while (files_.count(number) != 0) number = number == 2 ? 512 : number + 1;
        return number < 1024 && files_.size() < state_.descriptors() ? number : -1;
    }
    void run(Function<int()>& program) noexcept {
        running_ = this;  // a thread-local variable of this fiber
        try {
            int code = 0;
            {
                // Its captures end with the program, or are abandoned with it.
                Function<int()> mine{std::move(program)};
                code = mine();
            }
            exit_code_ = code;
        } catch (...) {
            error_ = std::current_exception();
            if (image_) new std::shared_ptr<LibcImage>(std::move(image_));
        }
    }
    void end_files() noexcept {
        for (const auto& [number, file] : files_) file->end();
        for (const auto& file : kept_) file->end();
        files_.clear();
        kept_.clear();
    }
    [[noreturn]] void abandon() {
        for (;;) fiber_.suspend();
    }
    void sleep(Instant until) {
        if (until != never) sleep_.over = host_.at(until, [this] { resume(); });
        sleep_.waits = true;
        fiber_.suspend();
    }
    void resume() {
        sleep_.waits = false;
        sleep_.woken.cancel();
        sleep_.over.cancel();
        state_.exchange();
        fiber_.resume();
        state_.exchange();
        BELAY_INVARIANT(running_ == nullptr,
                        "sim::Program: the executable must have included "
                        "libc_sim.hpp itself, and not a shared library");
        if (!exit_code_ && !error_) return;
        if (exit_code_) sim::detail::Kernel::exit(host_, *exit_code_);
        // The kernel closes what the program has left open.
        end_files();
        if (error_) std::rethrow_exception(std::exchange(error_, {}));
    }

    static inline thread_local constinit LibcProcess* running_ = nullptr;

    sim::Host& host_;
    Random bits_;
    LibcState state_;
    std::map<int, std::shared_ptr<LibcFile>> files_;
    std::vector<std::shared_ptr<LibcFile>> kept_;
    Sleep sleep_;
    std::optional<int> exit_code_;
    std::exception_ptr error_;
    Calls calls_;
    std::vector<std::pair<void (*)(void*), void*>> at_exit_;
    std::shared_ptr<LibcImage> image_;
    std::uint64_t number_ = 0;
    const char* function_ = "";
    bool is_interruptible_ = false;  // a signal ends the call in which it waits
    bool was_interrupted_ = false;
    LibcPipeAction pipe_action_;
    LibcFiber fiber_;
};

inline void LibcFile::changed(LibcProcess& process) {
    count_change();
    process.wake();
}

inline void LibcPipeAction::act(LibcProcess& process) {
    const struct sigaction action = action_;  // the handler may change it
    if (action.sa_handler == SIG_IGN) return;
    if (action.sa_handler == SIG_DFL) {
        process.refuse(
            "was ended by SIGPIPE: it wrote to a closed connection; send with MSG_NOSIGNAL, or "
            "ignore the signal");
    }
    const auto flags = static_cast<unsigned>(action.sa_flags);
    if ((flags & SA_RESETHAND) != 0) action_.sa_handler = SIG_DFL;
    const sigset_t before = mask_;
    sigorset(&mask_, &mask_, &action.sa_mask);
    if ((flags & SA_NODEFER) == 0) sigaddset(&mask_, SIGPIPE);
    if ((flags & SA_SIGINFO) == 0) {
        action.sa_handler(SIGPIPE);
    } else {
        siginfo_t info{};
        info.si_signo = SIGPIPE;
        action.sa_sigaction(SIGPIPE, &info, nullptr);
    }
    mask_ = before;
}

}}}  // namespace belay::detail
