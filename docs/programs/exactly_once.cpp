// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/session.hpp>
using namespace belay;
using namespace std::chrono_literals;

/// The stock of a shop. An operation changes it by a number. Its ledger is a journal of entries.
///
/// An entry has the stock after an operation and the progress of its sender, so one record stores both. After a restart,
/// the newest entry has the stock, and the newest entry of a sender has its progress.
template <FileSystemLike Files>
class Stock {
public:
    static Result<Stock, JournalError> load(Journal<Files> journal) {
        Stock stock{std::move(journal)};
        for (std::uint64_t number = stock.journal_.base(); number <= stock.journal_.last(); ++number) {
            const Result<BytesView> record = stock.journal_.read(number);
            Entry entry;
            if (!record) return stock.journal_.explain(record.error());
            if (record->size() != sizeof entry) return stock.journal_.explain(make_error_code(QueueErrc::corrupt));
            std::memcpy(&entry, record->data(), sizeof entry);
            stock.keep(number, entry);
        }
        return stock;
    }
    std::int64_t count() const { return count_; }

    // excerpt: begin
    // The requirements of LedgerLike. The journal's id is random, and as durable as the journal.
    const Id& store_id() const noexcept { return journal_.journal_id(); }
    std::optional<Progress> progress(const Id& sender) const {
        const auto found = newest_.find(sender);
        return found == newest_.end() ? std::nullopt : std::optional{found->second.progress};
    }
    std::error_code adopt(const Id& sender, const Progress& p) {
        if (const std::error_code error = write({sender, p, count_})) return error;
        return journal_.commit();
    }
    std::error_code apply(const Id& sender, const Progress& p, BytesView operation) {
        return write({sender, p, count_ + std::atoll(std::string{as_text(operation)}.c_str())});
    }
    std::error_code commit() {
        if (const std::error_code error = journal_.commit()) return error;
        const auto oldest =
            std::min_element(newest_.begin(), newest_.end(), [](auto& a, auto& b) { return a.second.number < b.second.number; });
        if (oldest == newest_.end()) return {};
        // Releases older entries. If a file cannot be deleted, the next call tries again.
        static_cast<void>(journal_.ack(oldest->second.number - 1));
        // The entry of a sender that is silent is written again, so that the journal stays small.
        const bool stale = journal_.last() - oldest->second.number >= 1'000;
        return stale ? write({oldest->first, oldest->second.progress, count_}) : std::error_code{};
    }
    // excerpt: end

private:
    struct Entry {  // stored as it is in memory: the files belong to one kind of machine
        Id sender{};
        Progress progress{};
        std::int64_t count = 0;
    };
    struct Newest {
        std::uint64_t number = 0;
        Progress progress{};
    };

    explicit Stock(Journal<Files> journal) : journal_{std::move(journal)} {}
    void keep(std::uint64_t number, const Entry& entry) {
        count_ = entry.count;
        newest_[entry.sender] = {number, entry.progress};
    }
    std::error_code write(const Entry& entry) {
        const Result<std::uint64_t> number = journal_.append(std::as_bytes(std::span{&entry, 1}));
        if (number) keep(*number, entry);
        return number.error();
    }

    Journal<Files> journal_;
    std::map<Id, Newest> newest_{};
    std::int64_t count_ = 0;
};

struct Log {                                                          // the observer of the receiver
    void on_sender_failed(const Id& sender, std::error_code error) {  // this sender waits, and tries again
        std::fprintf(stderr, "stock: sender %02x...: %s\n", std::to_integer<unsigned>(sender[0]), error.message().c_str());
    }
    void on_ledger_failed(std::error_code error) {
        std::fprintf(stderr, "stock: %s\n", error.message().c_str());
        std::_Exit(75);  // the supervisor starts it again, and it opens the journal again
    }
};

int main() {
    for (const char* const change : {"+5", "-2"}) {  // the second time, both programs have been started again
        posix::Loop loop;
        // The receiver; a process of its own.
        auto ledger = posix::Journal::open("stock");
        if (!ledger) return std::puts(ledger.error().message().c_str()), 1;
        // excerpt: begin
        auto stock = Stock<posix::Files>::load(std::move(*ledger));
        if (!stock) return std::puts(stock.error().message().c_str()), 1;
        Receiver<posix::Accepted<>, Stock<posix::Files>, AllowAll, Log> receiver{std::move(*stock), Log{}};
        loop.attach(receiver);
        posix::Listener listener{loop, [&](posix::Accepted<> a) { receiver.accept(std::move(a)); }};
        // excerpt: end
        if (listener.listen({"127.0.0.1", 0})) return 1;

        // The sender. A real program draws its id once and stores it: see SessionOptions below.
        auto outbox = posix::Journal::open("outbox", {.flush = Flush::group});
        if (!outbox) return std::puts(outbox.error().message().c_str()), 1;
        // excerpt: begin
        Session session{posix::Tcp{loop, {"127.0.0.1", listener.port()}}, Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}},
                        Queue{std::move(*outbox)}, SessionOptions{.id = Id{std::byte{1}}}};
        loop.attach(session);
        session.start();
        std::printf("%d", static_cast<int>(receiver.ledger().count()));
        if (!session.send(as_bytes(change))) return 1;  // taken; durable when on_accepted is called
        if (!loop.run_until([&] { return session.depth() == 0; }, 10s)) return 1;
        // excerpt: end
        std::printf(" %s is %d\n", change, static_cast<int>(receiver.ledger().count()));
    }
    return 0;
}
