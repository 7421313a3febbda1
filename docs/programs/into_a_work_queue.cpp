// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstring>
#include <optional>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/session.hpp>
#include <belay/work.hpp>
using namespace belay;
using namespace std::chrono_literals;

Moment now() { return {SteadyClock{}.now(), SystemClock{}.now()}; }

/// A ledger of one sender, whose operations become items of a work queue.
///
/// The body of an item begins with the progress of the sender, so one entry of the log stores both. When the item is gone,
/// the note of the log has the progress.
template <FileSystemLike Files>
class Inbox {
public:
    using Work = WorkQueue<Journal<Files>>;

    static Result<Inbox, WorkError> load(Journal<Files> journal) {
        const Id id = journal.journal_id();
        auto work = Work::open(std::move(journal), {.lease = 40s}, now());
        if (!work) return work.error();
        Inbox inbox{id, std::move(*work)};
        const BytesView note = inbox.work_.kept();
        if (note.size() == sizeof(Stamp)) std::memcpy(&inbox.stamp_.emplace(), note.data(), sizeof(Stamp));
        const auto error = inbox.work_.for_each([&](const WorkItem& item) {  // items that came after the note
            Stamp stamp;
            if (item.body.size() < sizeof stamp || !inbox.stamp_) return;
            std::memcpy(&stamp, item.body.data(), sizeof stamp);
            Progress& known = inbox.stamp_->progress;
            if (stamp.progress.journal == known.journal && stamp.progress.applied > known.applied) known = stamp.progress;
        });
        if (error) return WorkError{error};
        return inbox;
    }
    // excerpt: begin
    /// Works on what can be leased. Returns when there may be more.
    Instant work(auto&& done) {
        if (commit()) return after(now().now, 1s);  // the note must have the progress before an item can end
        while (const auto job = work_.lease(now())) {
            const bool is_done = done(as_text(job->body.subspan(sizeof(Stamp))));
            if (is_done ? work_.ack(*job) : work_.nack(*job, now(), 1s)) break;
        }
        static_cast<void>(work_.commit());
        return work_.deadline();
    }
    // excerpt: end
    const Work& items() const { return work_; }

    // excerpt: begin
    // The requirements of LedgerLike.
    const Id& store_id() const noexcept { return id_; }
    std::optional<Progress> progress(const Id& sender) const {
        return stamp_ && stamp_->sender == sender ? std::optional{stamp_->progress} : std::nullopt;
    }
    std::error_code adopt(const Id& sender, const Progress& p) { return stamp_ = {sender, p}, commit(); }
    std::error_code apply(const Id& sender, const Progress& p, BytesView operation) {
        const Stamp stamp{sender, p};
        Bytes body(sizeof stamp);
        std::memcpy(body.data(), &stamp, sizeof stamp);
        body.insert(body.end(), operation.begin(), operation.end());
        if (const auto error = work_.push(body, now()).error()) return error;  // the producer waits, and sends it again
        return stamp_ = stamp, std::error_code{};
    }
    std::error_code commit() {
        if (stamp_) {
            if (const auto error = work_.keep(std::as_bytes(std::span{&*stamp_, 1}))) return error;
        }
        return work_.commit();
    }
    // excerpt: end

private:
    struct Stamp {
        Id sender{};
        Progress progress{};
    };
    Inbox(const Id& id, Work work) : id_{id}, work_{std::move(work)} {}

    Id id_;
    Work work_;
    std::optional<Stamp> stamp_{};
};

struct Consumer {  // the observer of the receiver
    void on_committed(auto& receiver, const Id&, const Progress&) {
        receiver.ledger().work(
            [](std::string_view job) { return std::printf("job %.*s\n", static_cast<int>(job.size()), job.data()) > 0; });
    }
    void on_ledger_failed(std::error_code error) {
        std::fprintf(stderr, "inbox: %s\n", error.message().c_str());
        std::_Exit(75);  // the supervisor starts it again
    }
};

int main() {
    const Id producer{std::byte{1}};  // a real program draws it once, and stores it
    posix::Loop loop;
    // The consumer; a process of its own.
    auto journal = posix::Journal::open("inbox", {.verify = Verify::skip_damage});
    if (!journal) return std::puts(journal.error().message().c_str()), 1;
    auto inbox = Inbox<posix::Files>::load(std::move(*journal));
    if (!inbox) return std::puts(inbox.error().message().c_str()), 1;
    const auto is_producer = [&](const Id& sender, BytesView) {
        return sender == producer ? std::error_code{} : make_error_code(SessionErrc::unauthorized);
    };
    Receiver<posix::Accepted<>, Inbox<posix::Files>, decltype(is_producer), Consumer> receiver{std::move(*inbox), is_producer};
    loop.attach(receiver);
    posix::Listener listener{loop, [&](posix::Accepted<> client) { receiver.accept(std::move(client)); }};
    if (const auto error = listener.listen(posix::UnixPath{"inbox.sock"})) return std::puts(error.message().c_str()), 1;

    // The producer.
    auto outbox = posix::Journal::open("outbox", {.flush = Flush::group});
    if (!outbox) return std::puts(outbox.error().message().c_str()), 1;
    Session session{posix::Unix{loop, posix::UnixPath{"inbox.sock"}}, Policy{Backoff{FullJitter{}, Cap{1s}, 10ms}, ResetWhenStable{10s}},
                    Queue{std::move(*outbox)}, SessionOptions{.id = producer}};
    loop.attach(session);
    session.start();
    for (const char* const job : {"resize 1.png", "resize 2.png"}) {
        if (!session.send(as_bytes(job))) return 1;
    }
    return loop.run_until([&] { return session.depth() == 0 && receiver.ledger().items().empty(); }, 10s) ? 0 : 1;
}
