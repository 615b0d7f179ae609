/// Reads the calls of ffi/tests/vectors on standard input, one line each, in the format of
/// tests/vectors/format.rs. Prints the results, which the test compares.
#include <tollgate.hpp>

#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>

using namespace tollgate;
using std::chrono::nanoseconds;

namespace {

std::uint64_t ns(std::optional<nanoseconds> wait, std::uint64_t none) {
    return wait ? static_cast<std::uint64_t>(wait->count()) : none;
}

/// One limiter and its reservations.
class host {
  public:
    void begin(std::istream& line) {
        gate_.reset();
        reservations_.clear();
        builder_ = limiter::builder().clock(clock_);
        if (const auto keys = number(line)) builder_.max_keys(keys);
        if (const auto mode = overflow_of(line)) builder_.overflow(*mode);
    }

    void add_policy(std::istream& line) {
        const bool is_calendar = number(line) == 1;
        const auto name = text(line);
        const auto limit = number(line);
        const nanoseconds window(number(line));
        const auto period = static_cast<tollgate::period>(number(line));
        std::int64_t offset = 0;
        line >> offset;
        auto made = is_calendar ? policy::calendar(name, limit, period) : policy::sliding(name, limit, window);
        made.offset(std::chrono::seconds(offset));
        if (const auto most = number(line)) made.max_limit(most);
        if (const auto keys = number(line)) made.max_keys(keys);
        if (const auto buckets = number(line)) made.buckets(static_cast<std::uint32_t>(buckets));
        if (const auto mode = overflow_of(line)) made.overflow(*mode);
        made.dry_run(number(line) != 0);
        builder_.policy(std::move(made));
    }

    void build() {
        auto built = builder_.try_build();
        if (!built) {
            std::cout << built.error().code().value() << ' ' << built.error().what() << '\n';
            return;
        }
        std::cout << "0\n";
        gate_.emplace(*std::move(built));
    }

    void call(std::istream& line) {
        const nanoseconds monotonic(number(line)), wall(number(line));
        const auto at = gate_->at({monotonic, wall});
        std::string operation;
        line >> operation;
        if (operation == "set_limit") {
            const auto policy = policy_of(line);
            const auto set = gate_->try_set_limit(policy, number(line));
            std::cout << (set ? 0 : set.error().code().value());
        } else if (operation == "refund") {
            const auto given = at.try_refund(charge_of(line));
            std::cout << (given ? 0 : given.error().code().value()) << ' ' << *given;
        } else if (operation == "reset_key") {
            const auto charge = charge_of(line);
            const auto reset = at.try_reset_key(policy_id::from_bits(charge.c().policy), *keys_.back());
            std::cout << (reset ? 0 : reset.error().code().value());
        } else if (operation == "reserve" || operation == "extend" || operation == "settle" || operation == "cancel") {
            change(operation, at, line);
        } else {
            request(operation, at, line);
        }
        std::cout << '\n';
    }

  private:
    void request(const std::string& operation, const instant& at, std::istream& line) {
        const auto charges = charges_of(line);
        std::vector<policy_status> statuses(charges.size());
        if (operation == "check_many") {
            std::vector<decision> decisions(charges.size());
            std::cout << at.check_many(charges, decisions);
            for (const auto& decision : decisions) {
                std::cout << "; ";
                print(decision, {});
            }
        } else if (operation == "check") {
            print(at.check(charges), {});
        } else if (operation == "peek") {
            print(at.peek(charges), {});
        } else if (operation == "charge") {
            print(at.force_charge(charges), {});
        } else if (operation == "check_with_status") {
            print(at.check_with_status(charges, statuses), statuses);
        } else if (operation == "peek_with_status") {
            print(at.peek_with_status(charges, statuses), statuses);
        } else {
            std::exit(2);
        }
    }

    void change(const std::string& operation, const instant& at, std::istream& line) {
        auto& held = reservations_[number(line)];
        if (operation == "reserve") {
            const auto charges = charges_of(line);
            std::vector<policy_status> statuses(charges.size());
            auto made = at.reserve_with_status(charges, statuses);
            print(made ? made->decision() : made.error(), statuses);
            if (made) held = *std::move(made);
        } else if (operation == "cancel") {
            print(at.cancel(held), {});
        } else {
            std::vector<std::uint64_t> amounts(number(line));
            for (auto& amount : amounts) amount = number(line);
            print(operation == "extend" ? at.extend(held, amounts) : at.settle(held, amounts), {});
        }
    }

    void print(const decision& decided, const std::vector<policy_status>& statuses) const {
        std::cout << decided.code().value();
        if (decided.verdict() == verdict::invalid) return;
        const auto flags = decided.table_full() ? 1 : 0;
        std::cout << ' ' << index_of(decided.policy()) << ' ' << decided.limit() << ' ' << decided.remaining() << ' '
                  << ns(decided.retry_after(), decided.is_allowed() ? 0 : TOLLGATE_NEVER) << ' '
                  << ns(decided.reset_after(), 0) << ' ' << flags;
        for (const auto& layer : statuses) {
            const auto marks = (layer.table_full() ? 1 : 0) | (layer.violated() ? 2 : 0) | (layer.dry_run() ? 4 : 0);
            std::cout << "; " << index_of(layer.policy()) << ' ' << layer.limit() << ' ' << layer.remaining() << ' '
                      << ns(layer.retry_after(), layer.violated() ? TOLLGATE_NEVER : 0) << ' '
                      << ns(layer.reset_after(), 0) << ' ' << marks;
        }
    }

    std::vector<charge> charges_of(std::istream& line) {
        std::vector<charge> charges(number(line));
        for (auto& charge : charges) charge = charge_of(line);
        return charges;
    }

    charge charge_of(std::istream& line) {
        const auto policy = policy_of(line);
        keys_.push_back(std::make_unique<key>(key_of(line)));
        const auto made = policy.charge(*keys_.back(), number(line));
        const auto limit = number(line);
        return limit == TOLLGATE_POLICY_LIMIT ? made : made.limit(limit);
    }

    key key_of(std::istream& line) {
        std::string kind;
        line >> kind;
        if (kind == "text") return bytes_of(line);
        if (kind == "number") return number(line);
        if (kind == "ip") return key::ip(bytes_of(line));
        if (kind == "network") {
            const auto address = key::ip(bytes_of(line));
            const auto v4 = static_cast<unsigned>(number(line)), v6 = static_cast<unsigned>(number(line));
            return key::network(address, v4, v6);
        }
        if (kind == "parts") {
            auto& parts = parts_[parts_.size()];
            for (auto left = number(line); left > 0; --left) parts.push_back(key_of(line));
            return key::parts(parts);
        }
        return key::shared();
    }

    /// Bytes that outlive the key: nodes of a map do not move.
    const std::string& bytes_of(std::istream& line) {
        return texts_.emplace(texts_.size(), text(line)).first->second;
    }

    policy_id policy_of(std::istream& line) { return gate_->policy_at(number(line)).value_or(policy_id()); }

    int index_of(policy_id policy) const {
        for (int index = 0; gate_->policy_at(static_cast<std::size_t>(index)); ++index) {
            if (gate_->policy_at(static_cast<std::size_t>(index)) == policy) return index;
        }
        return -1;
    }

    static std::uint64_t number(std::istream& line) {
        std::uint64_t read = 0;
        if (!(line >> read)) std::exit(2);
        return read;
    }

    /// Parses bytes: an x and hexadecimal digits.
    static std::string text(std::istream& line) {
        std::string digits, bytes;
        line >> digits;
        for (std::size_t index = 1; index + 1 < digits.size(); index += 2) {
            bytes += static_cast<char>(std::strtoul(digits.substr(index, 2).c_str(), nullptr, 16));
        }
        return bytes;
    }

    static std::optional<overflow> overflow_of(std::istream& line) {
        const auto mode = number(line), allowance = number(line);
        switch (mode) {
            case 1: return overflow::deny();
            case 2: return overflow::allow();
            case 3: return overflow::evict_lightest(allowance);
            default: return {};
        }
    }

    manual_clock clock_ = *manual_clock::try_create();
    builder builder_;
    std::optional<limiter> gate_;
    std::map<std::uint64_t, reservation> reservations_;
    std::map<std::size_t, std::string> texts_;
    std::map<std::size_t, std::vector<key>> parts_;
    std::vector<std::unique_ptr<key>> keys_;
};

} // namespace

int main() {
    host host;
    for (std::string read; std::getline(std::cin, read);) {
        std::istringstream line(read);
        std::string first;
        line >> first;
        if (first == "limiter") host.begin(line);
        else if (first == "policy") host.add_policy(line);
        else if (first == "build") host.build();
        else if (first == "at") host.call(line);
        else return 2;
    }
}
