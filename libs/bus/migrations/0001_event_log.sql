-- The event log: records by topic and partition, and how far each group is.

create table topic (
    topic_id integer generated always as identity primary key,
    name text not null unique,
    -- Offset of the next record of each partition. The row is locked from here to the commit of whoever publishes, so
    -- offsets become visible in their own order and a reader never passes one that is still to come.
    next_offsets bigint[] not null
) with (fillfactor = 50);

create table entry (
    topic_id integer not null references topic,
    partition integer not null,
    entry_offset bigint not null,
    published_at timestamptz not null,
    key text not null,
    headers jsonb not null,
    value bytea not null,
    primary key (topic_id, partition, entry_offset)
);

-- Records arrive in the order of their time: enough to find where a moment begins, at almost no cost.
create index entry_published_at on entry using brin (published_at) with (pages_per_range = 32, autosummarize = on);

create table consumer_group (
    group_id integer generated always as identity primary key,
    topic_id integer not null references topic,
    name text not null,
    -- Offset after the last one committed, for each partition.
    next_offsets bigint[] not null,
    unique (topic_id, name)
) with (fillfactor = 50);

create function add_offsets(offsets bigint[], added integer[]) returns bigint[]
language sql immutable as
$$ select array_agg(o + a order by i) from unnest(offsets, added) with ordinality as t(o, a, i) $$;

create function register_topic(p_name text, p_partitions integer, out topic_id integer, out partitions integer)
language plpgsql set search_path from current as $$
begin
    insert into topic (name, next_offsets) values (p_name, array_fill(0::bigint, array[p_partitions]))
    on conflict (name) do nothing;
    select t.topic_id, cardinality(t.next_offsets) into topic_id, partitions from topic t where t.name = p_name;
end $$;

-- A new group begins with the earliest record that is still there.
create function register_group(p_topic_id integer, p_name text) returns integer
language plpgsql set search_path from current as $$
declare
    found_id integer;
begin
    select group_id into found_id from consumer_group where topic_id = p_topic_id and name = p_name;
    if found_id is null then
        insert into consumer_group (topic_id, name, next_offsets)
        select t.topic_id, p_name, array_agg(
            coalesce(
                (select min(e.entry_offset) from entry e where e.topic_id = t.topic_id and e.partition = n.i - 1),
                n.next_offset
            ) order by n.i)
        from topic t, unnest(t.next_offsets) with ordinality as n(next_offset, i)
        where t.topic_id = p_topic_id
        group by t.topic_id
        on conflict (topic_id, name) do nothing;
        select group_id into found_id from consumer_group where topic_id = p_topic_id and name = p_name;
    end if;
    return found_id;
end $$;

-- Gives back what this session held and takes every partition that has something to read and that nobody holds, until
-- p_max records are together. A session-level lock guards a partition while its batch is handled: it needs no open
-- transaction, and it goes when the consumer's connection does.
create function claim(p_group_id integer, p_lock_space integer, p_max integer, p_first integer, p_held integer[])
returns setof entry
language plpgsql set search_path from current as $$
declare
    starts bigint[];
    ends bigint[];
    of_topic_id integer;
    partitions integer;
    i integer;
    room integer := p_max;
    got integer;
begin
    perform pg_advisory_unlock(p_lock_space, h) from unnest(p_held) as h;
    select g.next_offsets, t.next_offsets, t.topic_id into starts, ends, of_topic_id
    from consumer_group g join topic t using (topic_id) where g.group_id = p_group_id;
    partitions := cardinality(ends);
    for n in 0 .. partitions - 1 loop
        i := (p_first + n) % partitions;
        continue when starts[i + 1] >= ends[i + 1];
        continue when not pg_try_advisory_lock(p_lock_space, i);
        -- Another session may have committed since: its lock is gone, so its offset is visible to this statement.
        return query
            select e.* from entry e
            where e.topic_id = of_topic_id and e.partition = i
              and e.entry_offset >= (select g.next_offsets[i + 1] from consumer_group g where g.group_id = p_group_id)
            order by e.entry_offset limit room;
        get diagnostics got = row_count;
        if got = 0 then
            perform pg_advisory_unlock(p_lock_space, i);
        end if;
        room := room - got;
        exit when room <= 0;
    end loop;
end $$;

create function commit_offsets(p_group_id integer, p_partitions integer[], p_offsets bigint[]) returns void
language sql set search_path from current as $$
    update consumer_group g
    set next_offsets = (
        select array_agg(greatest(o.next_offset, coalesce(c.next_offset, 0)) order by o.i)
        from unnest(g.next_offsets) with ordinality as o(next_offset, i)
        left join unnest(p_partitions, p_offsets) as c(partition, next_offset) on c.partition = o.i - 1)
    where g.group_id = p_group_id
$$;

-- Removes records that are older than p_before and that every known group has committed; at most p_max of them.
create function trim_entries(p_topic text, p_before timestamptz, p_max integer) returns integer
language plpgsql set search_path from current as $$
declare
    removed integer;
begin
    with safe as (
        select t.topic_id, n.i - 1 as partition,
               least(n.next_offset, min(g.next_offsets[n.i])) as before_offset
        from topic t
        cross join unnest(t.next_offsets) with ordinality as n(next_offset, i)
        left join consumer_group g on g.topic_id = t.topic_id
        where t.name = p_topic
        group by t.topic_id, n.i, n.next_offset
    ), old as (
        select e.ctid from entry e join safe s on s.topic_id = e.topic_id and s.partition = e.partition
        where e.entry_offset < s.before_offset and e.published_at < p_before
        limit p_max
    )
    delete from entry where ctid in (select ctid from old);
    get diagnostics removed = row_count;
    return removed;
end $$;
